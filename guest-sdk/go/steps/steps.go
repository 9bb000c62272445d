// Package steps is for plugins that run steps of sagas. Importing it exports the interface steps.
package steps

import (
	"encoding/json"
	"time"

	wasaga "wasaga.local/guest"
	"wasaga.local/guest/internal/abi"
)

// Task is an attempt of a step of a saga with this input.
type Task[Input any] struct {
	SagaID, Saga      string
	DefinitionVersion uint32
	// BusinessKey is the saga's id when it was started without one.
	BusinessKey string
	Step        string
	IsUndo      bool
	// Attempt is counted from 1.
	Attempt uint32
	// IdempotencyKey is the same for every attempt of this step in this direction: hand it to whatever you call.
	IdempotencyKey string
	// ForwardKey is the forward attempts' key: what an undo undoes.
	ForwardKey string
	Deadline   time.Time
	// Traceparent is the W3C trace context.
	Traceparent string
	Input       Input

	undo, memo json.RawMessage
	// Arrival is what ended the wait, in Resume.
	Arrival *Arrival
}

// Undo reads what the step kept, in Compensate and Resume. False: it kept nothing, or ended unknown before it had.
func (t *Task[Input]) Undo(into any) (bool, error) { return read(t.undo, into, "the undo data") }

// Memo reads what the wait kept, in Resume. False: it kept nothing.
func (t *Task[Input]) Memo(into any) (bool, error) { return read(t.memo, into, "the memo") }

func read(data json.RawMessage, into any, what string) (bool, error) {
	if data == nil {
		return false, nil
	}
	if err := json.Unmarshal(data, into); err != nil {
		return false, wasaga.Permanent("undecodable-json", "%s is no %T: %s", what, into, err)
	}
	return true, nil
}

// Arrived is what ended a wait.
type Arrived uint8

const (
	ByMessage Arrived = iota
	BySignal
	ByChild
	ByTimeout
)

// Arrival is what ended a wait.
type Arrival struct {
	Kind Arrived
	// Name is the correlation key, the signal's or the child's name.
	Name    string
	Message *wasaga.Message
	// Payload is a signal's, or a child's output, as JSON.
	Payload json.RawMessage
	// SagaID, Status and Error are a child's.
	SagaID, Status string
	Error          *wasaga.ErrorDetail
}

// Verdict is what a guard says: nil proceeds.
type Verdict struct {
	skips  bool
	reject *wasaga.Failure
}

// Skip passes over the step.
func Skip() *Verdict { return &Verdict{skips: true} }

// Reject fails the saga.
func Reject(code, format string, values ...any) *Verdict {
	return &Verdict{reject: wasaga.Permanent(code, format, values...)}
}

// Handler of a step.
type Handler[Input any] struct {
	// Guard is asked first where the step is guarded.
	Guard   func(task *Task[Input]) (*Verdict, error)
	Execute func(task *Task[Input], effects *wasaga.Effects) (*Outcome, error)
	// Resume comes after a wait, of Execute or of Compensate: IsUndo tells which.
	Resume     func(task *Task[Input], effects *wasaga.Effects) (*Outcome, error)
	Compensate func(task *Task[Input], effects *wasaga.Effects) (*Outcome, error)
}

type run func(task *Task[json.RawMessage], effects *wasaga.Effects) (*Outcome, error)

type handler struct {
	guard                       func(task *Task[json.RawMessage]) (*Verdict, error)
	execute, resume, compensate run
}

var handlers = map[string]handler{}

// Handle registers a step's handler, of this plugin's sagas or of others'. Call it in an init function.
func Handle[Input any](step string, typed Handler[Input]) {
	untyped := handler{
		execute:    untype(typed.Execute),
		resume:     untype(typed.Resume),
		compensate: untype(typed.Compensate),
	}
	if typed.Guard != nil {
		untyped.guard = func(task *Task[json.RawMessage]) (*Verdict, error) {
			given, err := typeInput[Input](task)
			if err != nil {
				return nil, err
			}
			return typed.Guard(given)
		}
	}
	handlers[step] = untyped
	wasaga.Extend(func(manifest *wasaga.Manifest) { manifest.Steps = append(manifest.Steps, step) })
}

func untype[Input any](typed func(*Task[Input], *wasaga.Effects) (*Outcome, error)) run {
	if typed == nil {
		return nil
	}
	return func(task *Task[json.RawMessage], effects *wasaga.Effects) (*Outcome, error) {
		given, err := typeInput[Input](task)
		if err != nil {
			return nil, err
		}
		return typed(given, effects)
	}
}

func typeInput[Input any](task *Task[json.RawMessage]) (*Task[Input], error) {
	var input Input
	if _, err := read(task.Input, &input, "the saga's input"); err != nil {
		return nil, err
	}
	typed := &Task[Input]{
		task.SagaID, task.Saga, task.DefinitionVersion, task.BusinessKey, task.Step, task.IsUndo, task.Attempt,
		task.IdempotencyKey, task.ForwardKey, task.Deadline, task.Traceparent, input, task.undo, task.memo, task.Arrival,
	}
	return typed, nil
}

func liftTask(task *hostTask) *Task[json.RawMessage] {
	attempt := &task.Attempt
	lifted := &Task[json.RawMessage]{
		SagaID:            attempt.SagaID.Text(),
		Saga:              attempt.Saga.Text(),
		DefinitionVersion: attempt.DefinitionVersion,
		BusinessKey:       abi.LiftText(attempt.BusinessKey),
		Step:              attempt.Step.Text(),
		IsUndo:            attempt.Direction == 1,
		Attempt:           attempt.Number,
		IdempotencyKey:    attempt.IdempotencyKey.Text(),
		ForwardKey:        attempt.ForwardKey.Text(),
		Deadline:          time.UnixMilli(int64(attempt.DeadlineMs)).UTC(),
		Traceparent:       abi.LiftText(attempt.Traceparent),
		Input:             abi.LiftPayload(&task.Input),
	}
	if attempt.BusinessKey.Some == 0 {
		lifted.BusinessKey = lifted.SagaID
	}
	return lifted
}

func call(task *Task[json.RawMessage], choose func(handler) run, does string) uint32 {
	var outcome *Outcome
	effects := new(wasaga.Effects)
	isResumed := task.Arrival != nil
	failure := wasaga.Attempt(isResumed, func() (err error) {
		found, ok := handlers[task.Step]
		if !ok {
			return wasaga.Permanent("unknown-step", "this plugin has no step %q", task.Step)
		}
		handle := choose(found)
		switch {
		case handle != nil:
			outcome, err = handle(task, effects)
			return err
		case isResumed:
			return wasaga.Unknown("no-"+does, "step %q does not %s", task.Step, does)
		}
		return wasaga.Permanent("no-"+does, "step %q does not %s", task.Step, does)
	})
	if outcome == nil {
		outcome = Done(nil)
	}
	return lowerOutcome(outcome, effects, failure)
}

//go:wasmexport wasaga:plugin/steps@0.1.0#guard
func guard(at uint32) uint32 {
	abi.Begin()
	defer abi.End()
	task := liftTask(abi.At[hostTask](at))
	var verdict *Verdict
	failure := wasaga.Attempt(false, func() (err error) {
		if ask := handlers[task.Step].guard; ask != nil {
			verdict, err = ask(task)
		}
		return err
	})
	area := abi.Area[verdictResult]()
	switch {
	case failure != nil:
		area.Tag = 1
		area.Body = *failure
	case verdict != nil && verdict.skips:
		abi.As[hostVerdict](&area.Body).Tag = 1
	case verdict != nil:
		*abi.As[hostVerdict](&area.Body) = hostVerdict{2, wasaga.LowerDetail(verdict.reject)}
	}
	return abi.Address(area)
}

//go:wasmexport wasaga:plugin/steps@0.1.0#execute
func execute(at uint32) uint32 {
	abi.Begin()
	defer abi.End()
	return call(liftTask(abi.At[hostTask](at)), func(h handler) run { return h.execute }, "execute")
}

//go:wasmexport wasaga:plugin/steps@0.1.0#resume
func resume(at uint32) uint32 {
	abi.Begin()
	defer abi.End()
	given := abi.At[struct {
		Task       hostTask
		Memo, Undo abi.Option[abi.Payload]
		Arrival    hostArrival
	}](at)
	task := liftTask(&given.Task)
	task.memo = abi.LiftPayload(given.Memo.Get())
	task.undo = abi.LiftPayload(given.Undo.Get())
	task.Arrival = liftArrival(&given.Arrival)
	return call(task, func(h handler) run { return h.resume }, "resume")
}

//go:wasmexport wasaga:plugin/steps@0.1.0#compensate
func compensate(at uint32) uint32 {
	abi.Begin()
	defer abi.End()
	given := abi.At[struct {
		Task hostTask
		Undo abi.Option[abi.Payload]
	}](at)
	task := liftTask(&given.Task)
	task.undo = abi.LiftPayload(given.Undo.Get())
	return call(task, func(h handler) run { return h.compensate }, "compensate")
}

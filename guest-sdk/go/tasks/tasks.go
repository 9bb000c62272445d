// Package tasks is for plugins that work on the task flows. Importing it exports the interface tasks.
package tasks

import (
	"time"

	wasaga "wasaga.local/guest"
	"wasaga.local/guest/internal/abi"
)

// Task is a message to handle.
type Task struct {
	ID             string
	Attempt        uint32
	IdempotencyKey string
	Deadline       time.Time
	// Traceparent is the W3C trace context.
	Traceparent string
	Message     *wasaga.Message
	// Reason is why a dead letter was given up.
	Reason *wasaga.ErrorDetail
}

// In handles a message.
type In func(task *Task, effects *wasaga.Effects) error

// Out answers with what is published in the message's place; nil: nothing is.
type Out func(task *Task) (*wasaga.Message, error)

var (
	in      = map[string]In{}
	out     = map[string]Out{}
	deadIn  = map[string]In{}
	deadOut = map[string]Out{}
)

// HandleIn registers what handles messages of a topic. Call it, as the other ones, in an init function.
func HandleIn(topic string, handler In) {
	in[topic] = handler
	wasaga.Extend(func(manifest *wasaga.Manifest) {
		manifest.Subscriptions = append(manifest.Subscriptions, wasaga.Subscription{Topic: topic})
	})
}

// HandleOut registers what handles messages on their way to a topic.
func HandleOut(topic string, handler Out) {
	out[topic] = handler
	wasaga.Extend(func(manifest *wasaga.Manifest) { manifest.OutTopics = append(manifest.OutTopics, topic) })
}

// HandleDeadIn registers what handles messages of a topic that were given up. Success ends the dead letter.
func HandleDeadIn(topic string, handler In) {
	deadIn[topic] = handler
	wasaga.Extend(func(manifest *wasaga.Manifest) { manifest.DeadInTopics = append(manifest.DeadInTopics, topic) })
}

// HandleDeadOut registers what handles messages to a topic that were given up.
func HandleDeadOut(topic string, handler Out) {
	deadOut[topic] = handler
	wasaga.Extend(func(manifest *wasaga.Manifest) { manifest.DeadOutTopics = append(manifest.DeadOutTopics, topic) })
}

// The interface tasks, as it is laid out.

type hostTask struct {
	ID             abi.Bytes
	Attempt        uint32
	IdempotencyKey abi.Bytes
	DeadlineMs     uint64
	Traceparent    abi.Option[abi.Bytes]
	Message        abi.Message
}

type hostDead struct {
	Task   hostTask
	Reason abi.ErrorDetail
}

// hostOutbound is to publish (0) or to drop (1).
type hostOutbound struct {
	Tag     uint8
	Publish abi.Message
}

// result has a failure where Tag is 1; else a list of effects, or hostOutbound, which are smaller.
type result struct {
	Tag  uint8
	Body abi.Failure
}

func lift(task *hostTask) *Task {
	return &Task{
		ID:             task.ID.Text(),
		Attempt:        task.Attempt,
		IdempotencyKey: task.IdempotencyKey.Text(),
		Deadline:       time.UnixMilli(int64(task.DeadlineMs)).UTC(),
		Traceparent:    abi.LiftText(task.Traceparent),
		Message:        wasaga.LiftMessage(&task.Message),
	}
}

func liftDead(dead *hostDead) *Task {
	task := lift(&dead.Task)
	task.Reason = wasaga.LiftDetail(&dead.Reason)
	return task
}

func notHandled(task *Task) error {
	return wasaga.Permanent("not-handled", "no handler for messages of topic %q", task.Message.Topic)
}

func runIn(handlers map[string]In, task *Task) uint32 {
	effects := new(wasaga.Effects)
	failure := wasaga.Attempt(false, func() error {
		handler, ok := handlers[task.Message.Topic]
		if !ok {
			return notHandled(task)
		}
		return handler(task, effects)
	})
	area := abi.Area[result]()
	if failure != nil {
		*area = result{1, *failure}
	} else {
		*abi.As[abi.List[abi.Effect]](&area.Body) = wasaga.LowerEffects(effects)
	}
	return abi.Address(area)
}

func runOut(handlers map[string]Out, task *Task) uint32 {
	var message *wasaga.Message
	failure := wasaga.Attempt(false, func() (err error) {
		handler, ok := handlers[task.Message.Topic]
		if !ok {
			return notHandled(task)
		}
		message, err = handler(task)
		return err
	})
	area := abi.Area[result]()
	switch outbound := abi.As[hostOutbound](&area.Body); {
	case failure != nil:
		*area = result{1, *failure}
	case message == nil:
		outbound.Tag = 1
	default:
		outbound.Publish = wasaga.LowerMessage(message)
	}
	return abi.Address(area)
}

//go:wasmexport wasaga:plugin/tasks@0.1.0#handle-in
func handleIn(at uint32) uint32 {
	abi.Begin()
	defer abi.End()
	return runIn(in, lift(abi.At[hostTask](at)))
}

//go:wasmexport wasaga:plugin/tasks@0.1.0#handle-out
func handleOut(at uint32) uint32 {
	abi.Begin()
	defer abi.End()
	return runOut(out, lift(abi.At[hostTask](at)))
}

//go:wasmexport wasaga:plugin/tasks@0.1.0#handle-dead-in
func handleDeadIn(at uint32) uint32 {
	abi.Begin()
	defer abi.End()
	return runIn(deadIn, liftDead(abi.At[hostDead](at)))
}

//go:wasmexport wasaga:plugin/tasks@0.1.0#handle-dead-out
func handleDeadOut(at uint32) uint32 {
	abi.Begin()
	defer abi.End()
	return runOut(deadOut, liftDead(abi.At[hostDead](at)))
}

// Package lifecycle is for plugins that hear what happens in the lives of their sagas. Importing it exports the interface
// lifecycle.
package lifecycle

import (
	"encoding/json"

	wasaga "wasaga.local/guest"
	"wasaga.local/guest/internal/abi"
)

// Event is what happened, and to which saga.
type Event struct {
	SagaID, Saga string
	// ID is the same however often the event is handed over.
	ID string
	// Kind, as "step-failed".
	Kind string
	// Step of the step's events.
	Step string
	// Output of "completed", as JSON.
	Output json.RawMessage
	// Error of the failures.
	Error *wasaga.ErrorDetail
}

var handler func(event *Event, effects *wasaga.Effects) error

// Handle registers what hears of them. Call it in an init function.
func Handle(handle func(event *Event, effects *wasaga.Effects) error) { handler = handle }

var kinds = [...]string{
	"started", "step-succeeded", "step-failed", "step-compensated", "completed", "failed", "compensated",
	"needs-attention",
}

const (
	stepSucceeded = iota + 1
	stepFailed
	stepCompensated
	completed
	failed
)

type stepError struct {
	Step  abi.Bytes
	Error abi.ErrorDetail
}

// given is what the host hands over; Body is as large as the largest.
type given struct {
	SagaID, Saga, EventID abi.Bytes
	Tag                   uint8
	Body                  stepError
}

func lift(given *given) *Event {
	event := &Event{
		SagaID: given.SagaID.Text(),
		Saga:   given.Saga.Text(),
		ID:     given.EventID.Text(),
		Kind:   kinds[given.Tag],
	}
	switch given.Tag {
	case stepSucceeded, stepCompensated:
		event.Step = given.Body.Step.Text()
	case stepFailed:
		event.Step = given.Body.Step.Text()
		event.Error = wasaga.LiftDetail(&given.Body.Error)
	case completed:
		event.Output = abi.LiftPayload(abi.As[abi.Payload](&given.Body))
	case failed, failed + 1, failed + 2:
		event.Error = wasaga.LiftDetail(abi.As[abi.ErrorDetail](&given.Body))
	}
	return event
}

type result struct {
	Tag  uint8
	Body abi.Failure
}

//go:wasmexport wasaga:plugin/lifecycle@0.1.0#on-event
func onEvent(at uint32) uint32 {
	abi.Begin()
	defer abi.End()
	event, effects := lift(abi.At[given](at)), new(wasaga.Effects)
	failure := wasaga.Attempt(false, func() error {
		if handler == nil {
			return nil
		}
		return handler(event, effects)
	})
	area := abi.Area[result]()
	if failure != nil {
		*area = result{1, *failure}
	} else {
		*abi.As[abi.List[abi.Effect]](&area.Body) = wasaga.LowerEffects(effects)
	}
	return abi.Address(area)
}

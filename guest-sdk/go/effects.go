package wasaga

import "wasaga.local/guest/internal/abi"

// Effects are committed with the result of the handler that adds them, exactly once.
type Effects struct{ list []abi.Effect }

const (
	send uint8 = iota
	start
	signal
	cancel
)

// Send sends a message.
func (e *Effects) Send(message *Message) {
	e.list = append(e.list, abi.Effect{Tag: send, Body: abi.Outgoing{Message: LowerMessage(message)}})
}

// SendOr sends a message; rollback is published instead when it is given up.
func (e *Effects) SendOr(message, rollback *Message) {
	outgoing := abi.Outgoing{Message: LowerMessage(message), Rollback: abi.Some(LowerMessage(rollback))}
	e.list = append(e.list, abi.Effect{Tag: send, Body: outgoing})
}

// Start is a saga to start.
type Start struct {
	Saga string
	// BusinessKey: under one a saga is started once.
	BusinessKey string
	// Input as JSON.
	Input any
	// Child is the name under which its end can be waited for; empty: it is on its own.
	Child string
}

// Start starts a saga.
func (e *Effects) Start(saga Start) {
	effect := abi.Effect{Tag: start}
	*abi.As[abi.SagaStart](&effect.Body) = abi.SagaStart{
		Saga:        abi.LowerText(saga.Saga),
		BusinessKey: abi.LowerOptionalText(saga.BusinessKey),
		Input:       abi.LowerPayload(saga.Input),
		Child:       abi.LowerOptionalText(saga.Child),
	}
	e.list = append(e.list, effect)
}

// Target is a saga by its id, or by its definition and business key.
type Target struct{ ID, Saga, BusinessKey string }

func (t Target) lower() abi.SagaTarget {
	if t.ID != "" {
		return abi.SagaTarget{First: abi.LowerText(t.ID)}
	}
	return abi.SagaTarget{Tag: 1, First: abi.LowerText(t.Saga), Second: abi.LowerText(t.BusinessKey)}
}

// Signal sends a signal to a saga; what it carries as JSON.
func (e *Effects) Signal(target Target, name string, carries any) {
	effect := abi.Effect{Tag: signal}
	*abi.As[abi.SagaSignal](&effect.Body) = abi.SagaSignal{
		Target:  target.lower(),
		Name:    abi.LowerText(name),
		Payload: abi.LowerPayload(carries),
	}
	e.list = append(e.list, effect)
}

// Cancel asks a saga to turn back.
func (e *Effects) Cancel(target Target) {
	effect := abi.Effect{Tag: cancel}
	*abi.As[abi.SagaTarget](&effect.Body) = target.lower()
	e.list = append(e.list, effect)
}

// LowerEffects is the SDK's own.
func LowerEffects(effects *Effects) abi.List[abi.Effect] { return abi.LowerList(effects.list) }

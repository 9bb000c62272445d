package steps

import (
	wasaga "wasaga.local/guest"
	"wasaga.local/guest/internal/abi"
)

// The interface steps, as it is laid out.

type hostTask struct {
	Attempt abi.Attempt
	Input   abi.Payload
}

type hostDone struct {
	Output  abi.Payload
	Undo    abi.Option[abi.Payload]
	Effects abi.List[abi.Effect]
}

// hostSource is a message (0), whose topic and correlation it has, a signal (1) or a child (2).
type hostSource struct {
	Tag               uint8
	Name, Correlation abi.Bytes
}

type hostWait struct {
	Sources    abi.List[hostSource]
	TimeoutMs  abi.Option[uint64]
	Effects    abi.List[abi.Effect]
	Undo, Memo abi.Option[abi.Payload]
}

// hostOutcome is done (0) or a wait (1): Body is as large as the largest.
type hostOutcome struct {
	Tag  uint8
	Body hostWait
}

// hostVerdict is proceed (0), skip (1) or reject (2).
type hostVerdict struct {
	Tag    uint8
	Reject abi.ErrorDetail
}

type hostChildEnd struct {
	SagaID, Status abi.Bytes
	Output         abi.Option[abi.Payload]
	Error          abi.Option[abi.ErrorDetail]
}

type named[T any] struct {
	Name  abi.Bytes
	Value T
}

// hostArrival is a message (0), a signal (1), a child's end (2) or a time-out (3): Body is as large as the largest.
type hostArrival struct {
	Tag  uint8
	Body named[hostChildEnd]
}

// The results: Tag is 1 where there is a failure. Failures and outcomes are aligned to 8.

type outcomeResult struct {
	Tag  uint8
	Body hostOutcome
}

type verdictResult struct {
	Tag  uint8
	Body abi.Failure
}

func lowerOutcome(outcome *Outcome, effects *wasaga.Effects, failure *abi.Failure) uint32 {
	area := abi.Area[outcomeResult]()
	switch {
	case failure != nil:
		area.Tag = 1
		*abi.As[abi.Failure](&area.Body) = *failure
	case outcome.waits:
		area.Body.Tag = 1
		area.Body.Body = lowerWait(outcome, effects)
	default:
		*abi.As[hostDone](&area.Body.Body) = hostDone{
			Output:  abi.LowerPayload(outcome.output),
			Undo:    abi.LowerOptionalPayload(outcome.undo),
			Effects: wasaga.LowerEffects(effects),
		}
	}
	return abi.Address(area)
}

func lowerWait(wait *Outcome, effects *wasaga.Effects) hostWait {
	sources := make([]hostSource, len(wait.sources))
	for at, source := range wait.sources {
		sources[at] = hostSource{source.kind, abi.LowerText(source.name), abi.LowerText(source.correlation)}
	}
	lowered := hostWait{
		Sources: abi.LowerList(sources),
		Effects: wasaga.LowerEffects(effects),
		Undo:    abi.LowerOptionalPayload(wait.undo),
		Memo:    abi.LowerOptionalPayload(wait.memo),
	}
	if wait.timeout > 0 {
		lowered.TimeoutMs = abi.Some(uint64(wait.timeout.Milliseconds()))
	}
	return lowered
}

func liftArrival(arrival *hostArrival) *Arrival {
	switch arrival.Tag {
	case 0:
		message := abi.As[named[abi.Message]](&arrival.Body)
		return &Arrival{Kind: ByMessage, Name: message.Name.Text(), Message: wasaga.LiftMessage(&message.Value)}
	case 1:
		signal := abi.As[named[abi.Payload]](&arrival.Body)
		return &Arrival{Kind: BySignal, Name: signal.Name.Text(), Payload: abi.LiftPayload(&signal.Value)}
	case 2:
		end := &arrival.Body.Value
		return &Arrival{
			Kind:    ByChild,
			Name:    arrival.Body.Name.Text(),
			Payload: abi.LiftPayload(end.Output.Get()),
			SagaID:  end.SagaID.Text(),
			Status:  end.Status.Text(),
			Error:   wasaga.LiftDetail(end.Error.Get()),
		}
	}
	return &Arrival{Kind: ByTimeout}
}

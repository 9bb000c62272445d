// Package eventstore keeps event-sourced aggregates, in the transaction that commits the step or task: both happen, or
// neither. It needs the capability EventStore.
package eventstore

import (
	"encoding/json"

	wasaga "wasaga.local/guest"
	"wasaga.local/guest/internal/abi"
)

// SnapshotEvery is after how many events a snapshot is kept.
const SnapshotEvery = 5

// Aggregate is what its events come to. It is kept in snapshots as JSON.
type Aggregate interface {
	// Apply makes the event a part of it. Events have happened: an error only says that one cannot be read.
	Apply(eventType string, payload json.RawMessage) error
}

type hostEvent struct {
	EventType abi.Bytes
	Payload   abi.Payload
}

type hostStored struct {
	Version uint64
	Event   hostEvent
}

type hostSnapshot struct {
	Version uint64
	State   abi.Payload
}

// hostError is a conflict (0), with the stream's version, or another (1), with a text's place and length.
type hostError struct {
	Tag  uint8
	Body uint64
}

type loaded struct {
	Snapshot abi.Option[hostSnapshot]
	Events   abi.List[hostStored]
}

type loadResult struct {
	Tag  uint8
	Body loaded
}

type appendResult struct {
	Tag  uint8
	Body hostError
}

//go:wasmimport wasaga:plugin/event-store@0.1.0 load
func hostLoad(at, length, area uint32)

//go:wasmimport wasaga:plugin/event-store@0.1.0 append
func hostAppend(at, length uint32, expected uint64, events, count, area uint32)

//go:wasmimport wasaga:plugin/event-store@0.1.0 save-snapshot
func hostSaveSnapshot(at, length uint32, version uint64, typeAt, typeLength, stateAt, stateLength, area uint32)

func failure(err *hostError) error {
	if err.Tag == 0 {
		return wasaga.Retryable("event-conflict", "somebody else appended: the stream is at version %d", err.Body)
	}
	text := abi.Bytes{At: uint32(err.Body), Length: uint32(err.Body >> 32)}
	return wasaga.Retryable("event-store", "%s", text.Text())
}

// Stream is an aggregate and its stream.
type Stream[A Aggregate] struct {
	id               string
	State            A
	stored, snapshot uint64
	recorded         []hostEvent
}

// Load brings the aggregate, which is still as without any event, to where its events left it.
func Load[A Aggregate](id string, aggregate A) (*Stream[A], error) {
	stream := &Stream[A]{id: id, State: aggregate}
	area, name := abi.Area[loadResult](), abi.LowerText(id)
	hostLoad(name.At, name.Length, abi.Address(area))
	if area.Tag == 1 {
		return nil, failure(abi.As[hostError](&area.Body))
	}
	if snapshot := area.Body.Snapshot.Get(); snapshot != nil {
		if err := json.Unmarshal(snapshot.State.Data.Lift(), stream.State); err != nil {
			return nil, wasaga.Permanent("undecodable-event", "the snapshot of stream %q: %s", id, err)
		}
		stream.stored, stream.snapshot = snapshot.Version, snapshot.Version
	}
	for _, event := range abi.Elements(area.Body.Events) {
		eventType, payload := event.Event.EventType.Text(), abi.LiftPayload(&event.Event.Payload)
		if err := stream.State.Apply(eventType, payload); err != nil {
			return nil, wasaga.Permanent("undecodable-event", "event %d of stream %q: %s", event.Version, id, err)
		}
		stream.stored = event.Version
	}
	return stream, nil
}

// Version is how many events it has, those that were recorded included.
func (s *Stream[A]) Version() uint64 { return s.stored + uint64(len(s.recorded)) }

// Record says that something happened: it is applied now, and appended by Save.
func (s *Stream[A]) Record(eventType string, payload any) error {
	data, err := json.Marshal(payload)
	if err != nil {
		return err
	}
	s.recorded = append(s.recorded, hostEvent{abi.LowerText(eventType), abi.LowerPayload(json.RawMessage(data))})
	return s.State.Apply(eventType, data)
}

// Save appends what was recorded, and keeps a snapshot where one is due. A retryable failure if somebody else appended since
// it was loaded.
func (s *Stream[A]) Save() error {
	if len(s.recorded) == 0 {
		return nil
	}
	area, name, events := abi.Area[appendResult](), abi.LowerText(s.id), abi.LowerList(s.recorded)
	hostAppend(name.At, name.Length, s.stored, events.At, events.Length, abi.Address(area))
	if area.Tag == 1 {
		return failure(&area.Body)
	}
	s.stored, s.recorded = *abi.As[uint64](&area.Body), nil
	if s.stored-s.snapshot < SnapshotEvery {
		return nil
	}
	state := abi.LowerPayload(s.State)
	kind, data := state.ContentType, state.Data
	hostSaveSnapshot(name.At, name.Length, s.stored, kind.At, kind.Length, data.At, data.Length, abi.Address(area))
	if area.Tag == 1 {
		return failure(&area.Body)
	}
	s.snapshot = s.stored
	return nil
}

package abi

// Bytes is a string or a list of bytes.
type Bytes struct{ At, Length uint32 }

// List is a list of elements of a type.
type List[T any] struct{ At, Length uint32 }

// Option is an optional value: 1 where there is one.
type Option[T any] struct {
	Some uint8
	Val  T
}

// Get is the value, or nil.
func (o *Option[T]) Get() *T {
	if o.Some == 0 {
		return nil
	}
	return &o.Val
}

// Some is an optional value that is there.
func Some[T any](value T) Option[T] { return Option[T]{1, value} }

// LiftText is an optional string; empty where there is none.
func LiftText(text Option[Bytes]) string {
	if text.Some == 0 {
		return ""
	}
	return text.Val.Text()
}

// LowerOptionalText lends a string; an empty one is none.
func LowerOptionalText(text string) Option[Bytes] {
	if text == "" {
		return Option[Bytes]{}
	}
	return Some(LowerText(text))
}

// LiftBytes is an optional list of bytes; nil where there is none.
func LiftBytes(bytes Option[Bytes]) []byte {
	if bytes.Some == 0 {
		return nil
	}
	return bytes.Val.Lift()
}

// LowerOptionalBytes lends bytes; nil are none.
func LowerOptionalBytes(bytes []byte) Option[Bytes] {
	if bytes == nil {
		return Option[Bytes]{}
	}
	return Some(LowerBytes(bytes))
}

// What follows is the interface types, by its names.

type Payload struct{ ContentType, Data Bytes }

type Header struct{ Name, Value Bytes }

type Message struct {
	Topic   Bytes
	Key     Option[Bytes]
	Headers List[Header]
	Value   Option[Bytes]
}

type ErrorDetail struct {
	Code, Message Bytes
	Data          Option[Payload]
}

type RetryHint struct {
	Detail  ErrorDetail
	AfterMs Option[uint64]
}

// Failure is retryable (0), permanent (1) or unknown (2); of the latter two Hint is only its Detail.
type Failure struct {
	Tag  uint8
	Hint RetryHint
}

type SagaStart struct {
	Saga        Bytes
	BusinessKey Option[Bytes]
	Input       Payload
	Child       Option[Bytes]
}

// SagaTarget is an id (0), or a definition and its business key (1).
type SagaTarget struct {
	Tag           uint8
	First, Second Bytes
}

type SagaSignal struct {
	Target  SagaTarget
	Name    Bytes
	Payload Payload
}

type Outgoing struct {
	Message  Message
	Rollback Option[Message]
}

// Effect is a send (0, Outgoing), start (1), signal (2) or cancel (3): Body is as large as the largest.
type Effect struct {
	Tag  uint8
	Body Outgoing
}

type Attempt struct {
	SagaID, Saga               Bytes
	DefinitionVersion          uint32
	BusinessKey                Option[Bytes]
	Step                       Bytes
	Direction                  uint8
	Number                     uint32
	IdempotencyKey, ForwardKey Bytes
	DeadlineMs                 uint64
	Traceparent                Option[Bytes]
}

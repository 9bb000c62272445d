package abi

import "encoding/json"

// LowerPayload lends a value as JSON. It panics where the value is none: a mistake in the plugin, not in its data.
func LowerPayload(value any) Payload {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return Payload{LowerText("application/json"), LowerBytes(data)}
}

// LowerOptionalPayload lends a value as JSON; nil is none.
func LowerOptionalPayload(value any) Option[Payload] {
	if value == nil {
		return Option[Payload]{}
	}
	return Some(LowerPayload(value))
}

// LiftPayload is a payload's JSON; nil where there is none.
func LiftPayload(payload *Payload) json.RawMessage {
	if payload == nil {
		return nil
	}
	return payload.Data.Lift()
}

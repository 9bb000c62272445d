package wasaga

import (
	"encoding/json"
	"unicode/utf8"

	"wasaga.local/guest/internal/abi"
)

// Header of a record.
type Header struct {
	Name  string
	Value []byte
}

// Message is a Kafka record; without a value it is a tombstone.
type Message struct {
	Topic   string
	Key     []byte
	Headers []Header
	Value   []byte
}

// NewMessage is a record with a key and a value, as JSON. It panics where the value is none.
func NewMessage(topic, key string, value any) *Message {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return &Message{Topic: topic, Key: []byte(key), Value: data}
}

// Header adds one; the same name may come more than once.
func (m *Message) Header(name, value string) *Message {
	m.Headers = append(m.Headers, Header{name, []byte(value)})
	return m
}

// HeaderText is the last header of this name that is UTF-8.
func (m *Message) HeaderText(name string) (string, bool) {
	for at := len(m.Headers) - 1; at >= 0; at-- {
		if header := m.Headers[at]; header.Name == name {
			return string(header.Value), utf8.Valid(header.Value)
		}
	}
	return "", false
}

// RequireHeader is the same; a permanent failure names the header when it is missing.
func (m *Message) RequireHeader(name string) (string, error) {
	text, ok := m.HeaderText(name)
	if !ok {
		return "", Permanent("missing-header", "a record of topic %q has no text header %q", m.Topic, name)
	}
	return text, nil
}

// JSON reads the value into a variable; a permanent failure if there is none or it does not fit.
func (m *Message) JSON(into any) error {
	if m.Value == nil {
		return Permanent("missing-value", "a record of topic %q has no value", m.Topic)
	}
	if err := json.Unmarshal(m.Value, into); err != nil {
		return Permanent("undecodable-json", "a record of topic %q is no %T: %s", m.Topic, into, err)
	}
	return nil
}

// LiftMessage is the SDK's own.
func LiftMessage(message *abi.Message) *Message {
	lifted := &Message{
		Topic: message.Topic.Text(),
		Key:   abi.LiftBytes(message.Key),
		Value: abi.LiftBytes(message.Value),
	}
	for _, header := range abi.Elements(message.Headers) {
		lifted.Headers = append(lifted.Headers, Header{header.Name.Text(), header.Value.Lift()})
	}
	return lifted
}

// LowerMessage is the SDK's own.
func LowerMessage(message *Message) abi.Message {
	headers := make([]abi.Header, len(message.Headers))
	for at, header := range message.Headers {
		headers[at] = abi.Header{Name: abi.LowerText(header.Name), Value: abi.LowerBytes(header.Value)}
	}
	return abi.Message{
		Topic:   abi.LowerText(message.Topic),
		Key:     abi.LowerOptionalBytes(message.Key),
		Headers: abi.LowerList(headers),
		Value:   abi.LowerOptionalBytes(message.Value),
	}
}

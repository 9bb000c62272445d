package wasaga

import (
	"encoding/json"
	"time"

	"wasaga.local/guest/internal/abi"
)

// Manifest is what a plugin says of itself, by wit/manifest.schema.json. Steps and topics that have handlers are added to it.
type Manifest struct {
	// Name: a to z, 0 to 9 and -, at most 40 characters.
	Name string `json:"name"`
	// Version is semantic.
	Version       string         `json:"version"`
	Sagas         []Saga         `json:"sagas,omitempty"`
	Steps         []string       `json:"steps,omitempty"`
	Subscriptions []Subscription `json:"subscriptions,omitempty"`
	OutTopics     []string       `json:"out_topics,omitempty"`
	DeadInTopics  []string       `json:"dead_in_topics,omitempty"`
	DeadOutTopics []string       `json:"dead_out_topics,omitempty"`
	// Migrations make the plugin's tables: versions 1, 2, … One that was applied must not change.
	Migrations   []Migration   `json:"migrations,omitempty"`
	Capabilities *Capabilities `json:"capabilities,omitempty"`
}

// Subscription is a topic that the plugin hears; with a Correlation its messages answer waiting steps.
type Subscription struct {
	Topic       string   `json:"topic"`
	Correlation *Locator `json:"correlation,omitempty"`
}

// Migration is SQL.
type Migration struct {
	Version int    `json:"version"`
	Name    string `json:"name"`
	Up      string `json:"up"`
}

// Capabilities are what a plugin asks for; what it gets is the operator's grant.
type Capabilities struct {
	SQL        bool     `json:"sql,omitempty"`
	EventStore bool     `json:"event_store,omitempty"`
	HTTPHosts  []string `json:"http_hosts,omitempty"`
	// Topics it sends to; orders.* covers a prefix.
	Topics     []string `json:"topics,omitempty"`
	ConfigKeys []string `json:"config_keys,omitempty"`
	// Secrets it reads, as configuration.
	Secrets []string `json:"secrets,omitempty"`
}

// Saga is a definition. One of the same name and version never changes its content.
type Saga struct {
	Name     string    `json:"name"`
	Version  int       `json:"version"`
	Steps    []Step    `json:"steps"`
	Triggers []Trigger `json:"triggers,omitempty"`
	// Deadline is from the start to its undoing.
	Deadline Milliseconds `json:"deadline_ms,omitempty"`
	// InputSchema is JSON Schema: a start whose input does not fit is refused at the door.
	InputSchema    json.RawMessage `json:"input_schema,omitempty"`
	LifecycleTopic string          `json:"lifecycle_topic,omitempty"`
	PinWorkers     bool            `json:"pin_workers,omitempty"`
}

// Step of a definition.
type Step struct {
	Name string `json:"name"`
	// Worker is the plugin that runs it, when it is not this one.
	Worker string `json:"worker,omitempty"`
	// After are its predecessors, when they are not the step before it; an empty slice: it starts at once.
	After   *[]string `json:"after,omitempty"`
	Guarded bool      `json:"guarded,omitempty"`
	// Timeout is the bound of an attempt, its wait included unless the wait names its own.
	Timeout Milliseconds `json:"timeout_ms"`
	Retry   Retry        `json:"retry"`
	// Undo: nil, there is nothing to undo.
	Undo *Undo `json:"-"`
	// Pivot: past it the saga only goes forward.
	Pivot bool `json:"pivot,omitempty"`
}

// MarshalJSON puts the undo where the schema has it.
func (s Step) MarshalJSON() ([]byte, error) {
	type plain Step
	compensation := any("none")
	if s.Undo != nil {
		compensation = map[string]*Undo{"undo": s.Undo}
	}
	return json.Marshal(struct {
		plain
		Compensation any `json:"compensation"`
	}{plain(s), compensation})
}

// Undo is how a step is undone.
type Undo struct {
	Retry   Retry        `json:"retry"`
	Timeout Milliseconds `json:"timeout_ms"`
	// OnFailure is "needs_attention", which is the default, or "go_on".
	OnFailure string `json:"on_failure,omitempty"`
}

// Milliseconds is a duration in the manifest.
type Milliseconds time.Duration

// MarshalJSON writes whole milliseconds.
func (m Milliseconds) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Duration(m).Milliseconds())
}

// Retry is when to try again: one of Never, Fixed and Exponential.
type Retry struct {
	Never       *struct{}    `json:"never,omitempty"`
	Fixed       *Fixed       `json:"fixed,omitempty"`
	Exponential *Exponential `json:"exponential,omitempty"`
}

// Fixed is the same delay each time. MaxAttempts counts the first; 0: without end.
type Fixed struct {
	Delay       Milliseconds `json:"delay_ms"`
	MaxAttempts int          `json:"max_attempts,omitempty"`
}

// Exponential is a delay that grows, and of which chance takes the part Jitter, 0 to 1, away.
type Exponential struct {
	Initial     Milliseconds `json:"initial_ms"`
	Multiplier  float64      `json:"multiplier"`
	MaxDelay    Milliseconds `json:"max_delay_ms"`
	MaxAttempts int          `json:"max_attempts,omitempty"`
	Jitter      float64      `json:"jitter,omitempty"`
}

// RetryNever is once, and no more.
func RetryNever() Retry { return Retry{Never: &struct{}{}} }

// RetryFixed is after the same delay each time.
func RetryFixed(delay time.Duration, maxAttempts int) Retry {
	return Retry{Fixed: &Fixed{Milliseconds(delay), maxAttempts}}
}

// RetryExponential is after initial, then each time twice as long, at most longest.
func RetryExponential(initial, longest time.Duration, maxAttempts int) Retry {
	return Retry{Exponential: &Exponential{
		Initial:     Milliseconds(initial),
		Multiplier:  2,
		MaxDelay:    Milliseconds(longest),
		MaxAttempts: maxAttempts,
	}}
}

// Trigger is what starts a saga: one of HTTP, Topic and Schedule.
type Trigger struct {
	HTTP     *HTTPTrigger  `json:"http,omitempty"`
	Topic    *TopicTrigger `json:"topic,omitempty"`
	Schedule *Schedule     `json:"schedule,omitempty"`
}

// HTTPTrigger is a POST to a path. The field KeyName of its body is the business key.
type HTTPTrigger struct {
	Path    string `json:"path"`
	KeyName string `json:"key_name"`
	Message string `json:"message,omitempty"`
}

// TopicTrigger is a record of a topic.
type TopicTrigger struct {
	Topic       string  `json:"topic"`
	BusinessKey Locator `json:"business_key"`
}

// Schedule is the times of a cron expression, UTC.
type Schedule struct {
	Cron string `json:"cron"`
	// Misfire is "skip", "once", which is the default, or "all".
	Misfire string `json:"misfire,omitempty"`
	Input   any    `json:"input,omitempty"`
}

// Locator is where in a record something is: a header, a place in its JSON value, or its key, where both are empty.
type Locator struct{ Header, JSONPointer string }

// MarshalJSON writes it as the schema has it.
func (l Locator) MarshalJSON() ([]byte, error) {
	switch {
	case l.Header != "":
		return json.Marshal(map[string]string{"header": l.Header})
	case l.JSONPointer != "":
		return json.Marshal(map[string]string{"json_pointer": l.JSONPointer})
	}
	return json.Marshal("key")
}

var manifest Manifest

// Describe says what the plugin is. Call it in an init function of package main.
func Describe(described Manifest) {
	described.Steps = append(manifest.Steps, described.Steps...)
	described.Subscriptions = append(manifest.Subscriptions, described.Subscriptions...)
	described.OutTopics = append(manifest.OutTopics, described.OutTopics...)
	described.DeadInTopics = append(manifest.DeadInTopics, described.DeadInTopics...)
	described.DeadOutTopics = append(manifest.DeadOutTopics, described.DeadOutTopics...)
	manifest = described
}

// Extend adds what has a handler to the manifest. It is the SDK's own.
func Extend(extend func(*Manifest)) { extend(&manifest) }

//go:wasmexport wasaga:plugin/plugin@0.1.0#describe
func describe() uint32 {
	abi.Begin()
	defer abi.End()
	described, err := json.Marshal(manifest)
	if err != nil {
		panic(err)
	}
	area := abi.Area[abi.Bytes]()
	*area = abi.LowerBytes(described)
	return abi.Address(area)
}

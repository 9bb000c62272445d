// Package sql runs SQL inside the transaction that commits the step or task: both happen, or neither. It needs the
// capability SQL.
package sql

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	wasaga "wasaga.local/guest"
	"wasaga.local/guest/internal/abi"
)

// Parameters whose type Go does not tell.
type (
	// JSON is a parameter for json and jsonb: a value, as JSON.
	JSON struct{ Value any }
	// UUID is one, as text.
	UUID string
	// Numeric is decimal digits.
	Numeric string
)

// Row is the values by the names of their columns: nil, bool, int64, float64, string (also of numeric and uuid), []byte,
// json.RawMessage and time.Time.
type Row map[string]any

// hostValue has the case's value in its 8 bytes: a boolean, a number, or a text's place and length.
type hostValue struct {
	Tag  uint8
	Body uint64
}

const (
	null uint8 = iota
	boolean
	int64Value
	float64Value
	text
	bytesValue
	numeric
	uuid
	jsonValue
	timestamp
)

type hostColumn struct{ Name, TypeName abi.Bytes }

type hostRows struct {
	Columns abi.List[hostColumn]
	Rows    abi.List[abi.List[hostValue]]
}

type hostError struct{ Code, Message abi.Bytes }

type queryResult struct {
	Tag  uint8
	Body hostRows
}

type executeResult struct {
	Tag   uint8
	Count uint64
	_     uint64
}

//go:wasmimport wasaga:plugin/sql@0.1.0 query
func hostQuery(at, length, parameters, count, area uint32)

//go:wasmimport wasaga:plugin/sql@0.1.0 execute
func hostExecute(at, length, parameters, count, area uint32)

func lowerBytes(tag uint8, bytes abi.Bytes) hostValue {
	return hostValue{tag, uint64(bytes.Length)<<32 | uint64(bytes.At)}
}

func lower(parameter any) (hostValue, error) {
	switch value := parameter.(type) {
	case nil:
		return hostValue{Tag: null}, nil
	case bool:
		if value {
			return hostValue{boolean, 1}, nil
		}
		return hostValue{Tag: boolean}, nil
	case int:
		return hostValue{int64Value, uint64(value)}, nil
	case int32:
		return hostValue{int64Value, uint64(value)}, nil
	case int64:
		return hostValue{int64Value, uint64(value)}, nil
	case float64:
		return hostValue{float64Value, math.Float64bits(value)}, nil
	case string:
		return lowerBytes(text, abi.LowerText(value)), nil
	case []byte:
		return lowerBytes(bytesValue, abi.LowerBytes(value)), nil
	case UUID:
		return lowerBytes(uuid, abi.LowerText(string(value))), nil
	case Numeric:
		return lowerBytes(numeric, abi.LowerText(string(value))), nil
	case time.Time:
		return lowerBytes(timestamp, abi.LowerText(value.UTC().Format(time.RFC3339Nano))), nil
	case JSON:
		data, err := json.Marshal(value.Value)
		return lowerBytes(jsonValue, abi.LowerBytes(data)), err
	}
	return hostValue{}, fmt.Errorf("%T is no SQL value: use sql.JSON, or another of its types", parameter)
}

func lowerAll(parameters []any) (abi.List[hostValue], error) {
	lowered := make([]hostValue, len(parameters))
	for at, parameter := range parameters {
		var err error
		if lowered[at], err = lower(parameter); err != nil {
			return abi.List[hostValue]{}, err
		}
	}
	return abi.LowerList(lowered), nil
}

func lift(value hostValue) any {
	bytes := abi.Bytes{At: uint32(value.Body), Length: uint32(value.Body >> 32)}
	switch value.Tag {
	case null:
		return nil
	case boolean:
		return value.Body&1 == 1
	case int64Value:
		return int64(value.Body)
	case float64Value:
		return math.Float64frombits(value.Body)
	case bytesValue:
		return bytes.Lift()
	case jsonValue:
		return json.RawMessage(bytes.Lift())
	case timestamp:
		if at, err := time.Parse(time.RFC3339Nano, bytes.Text()); err == nil {
			return at
		}
	}
	return bytes.Text()
}

// failure: what another attempt cannot change (bad data, a wrong or forbidden statement) is permanent.
func failure(err *hostError) error {
	code, message := err.Code.Text(), err.Message.Text()
	if len(code) > 2 {
		switch code[:2] {
		case "0A", "22", "42":
			return wasaga.Permanent("sql-"+code, "%s", message)
		}
	}
	return wasaga.Retryable("sql-"+code, "%s", message)
}

// Query runs a statement that returns rows.
func Query(statement string, parameters ...any) ([]Row, error) {
	values, err := lowerAll(parameters)
	if err != nil {
		return nil, err
	}
	area, lent := abi.Area[queryResult](), abi.LowerText(statement)
	hostQuery(lent.At, lent.Length, values.At, values.Length, abi.Address(area))
	if area.Tag == 1 {
		return nil, failure(abi.As[hostError](&area.Body))
	}
	columns := abi.Elements(area.Body.Columns)
	var rows []Row
	for _, values := range abi.Elements(area.Body.Rows) {
		row := Row{}
		for at, value := range abi.Elements(values) {
			row[columns[at].Name.Text()] = lift(value)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// QueryOne is the one row, or nil; a permanent failure when there are more.
func QueryOne(statement string, parameters ...any) (Row, error) {
	rows, err := Query(statement, parameters...)
	switch {
	case err != nil || len(rows) == 0:
		return nil, err
	case len(rows) > 1:
		return nil, wasaga.Permanent("sql-P0003", "the query returned %d rows, not one", len(rows))
	}
	return rows[0], nil
}

// Execute runs a statement, and says how many rows it touched.
func Execute(statement string, parameters ...any) (uint64, error) {
	values, err := lowerAll(parameters)
	if err != nil {
		return 0, err
	}
	area, lent := abi.Area[executeResult](), abi.LowerText(statement)
	hostExecute(lent.At, lent.Length, values.At, values.Length, abi.Address(area))
	if area.Tag == 1 {
		return 0, failure(abi.As[hostError](&area.Count))
	}
	return area.Count, nil
}

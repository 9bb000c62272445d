// Package http sends requests to granted hosts. The host adds the idempotency key and the trace headers. It needs the
// capability HTTPHosts.
package http

import (
	"strings"
	"time"

	wasaga "wasaga.local/guest"
	"wasaga.local/guest/internal/abi"
)

// Request to send.
type Request struct {
	Method, URL string
	Headers     map[string]string
	// Body: nil, there is none.
	Body    []byte
	Timeout time.Duration
}

// Response to it; its headers by their names in lower case.
type Response struct {
	Status  int
	Headers map[string]string
	Body    []byte
}

type hostResponse struct {
	Status  uint16
	Headers abi.List[abi.Header]
	Body    abi.Bytes
}

// hostError is denied (0), not sent (1), maybe sent (2), with a text's place and length, or too large (3), with the limit.
type hostError struct {
	Tag  uint8
	Body uint64
}

type sendResult struct {
	Tag  uint8
	Body struct {
		_ [0]uint64
		hostResponse
	}
}

//go:wasmimport wasaga:plugin/http@0.1.0 send
func hostSend(methodAt, methodLength, urlAt, urlLength, headers, count, hasBody, bodyAt, bodyLength, hasTimeout uint32,
	timeout uint64, area uint32)

func failure(err *hostError) error {
	text := func() string {
		return abi.Bytes{At: uint32(err.Body), Length: uint32(err.Body >> 32)}.Text()
	}
	switch err.Tag {
	case 0:
		return wasaga.Permanent("http-denied", "%s", text())
	case 1:
		return wasaga.Retryable("http-not-sent", "%s", text())
	case 2:
		return wasaga.Unknown("http-maybe-sent", "%s", text())
	}
	return wasaga.Unknown("http-too-large", "the answer has more than %d bytes (plugins.guest_limits.http_response_bytes)", err.Body)
}

// Send sends a request.
func Send(request Request) (*Response, error) {
	method, url := abi.LowerText(request.Method), abi.LowerText(request.URL)
	var sent []abi.Header
	for name, value := range request.Headers {
		sent = append(sent, abi.Header{Name: abi.LowerText(name), Value: abi.LowerText(value)})
	}
	headers, body := abi.LowerList(sent), abi.LowerOptionalBytes(request.Body)
	var hasTimeout uint32
	if request.Timeout > 0 {
		hasTimeout = 1
	}
	area := abi.Area[sendResult]()
	hostSend(method.At, method.Length, url.At, url.Length, headers.At, headers.Length, uint32(body.Some), body.Val.At,
		body.Val.Length, hasTimeout, uint64(request.Timeout.Milliseconds()), abi.Address(area))
	if area.Tag == 1 {
		return nil, failure(abi.As[hostError](&area.Body))
	}
	response := &Response{Status: int(area.Body.Status), Headers: map[string]string{}, Body: area.Body.Body.Lift()}
	for _, header := range abi.Elements(area.Body.Headers) {
		response.Headers[strings.ToLower(header.Name.Text())] = header.Value.Text()
	}
	return response, nil
}

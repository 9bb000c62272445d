// Package abi is the component's boundary: the canonical ABI of wasaga:plugin@0.1.0, by hand. Its types are laid out as the
// host reads and writes them; what they point to is in this module's memory.
package abi

import "unsafe"

// What the host put into this module's memory, until the call that it belongs to has ended.
var given = map[uint32][]byte{}

// What the host reads of this module's memory, until the next call.
var lent []any

//go:wasmexport cabi_realloc
func realloc(old, oldSize, align, size uint32) uint32 {
	if size == 0 {
		return align
	}
	// Go aligns what is a multiple of 16 bytes to 16.
	bytes := make([]byte, (size+15)&^15)
	if held, ok := given[old]; ok && oldSize > 0 {
		copy(bytes, held[:oldSize])
		delete(given, old)
	}
	at := address(unsafe.Pointer(unsafe.SliceData(bytes)))
	given[at] = bytes
	return at
}

// Begin is the beginning of an export: what it lent last time has been read.
func Begin() { lent = nil }

// End is its end: what it was given has been lifted.
func End() { clear(given) }

func address(pointer unsafe.Pointer) uint32 { return uint32(uintptr(pointer)) }

func pointer(at uint32) unsafe.Pointer { return unsafe.Pointer(uintptr(at)) }

// At is what lies at an address.
func At[T any](at uint32) *T { return (*T)(pointer(at)) }

// Area is where the host, or this module, writes a result.
func Area[T any]() *T {
	area := new(T)
	lent = append(lent, area)
	return area
}

// Address is where an area is.
func Address[T any](area *T) uint32 { return address(unsafe.Pointer(area)) }

// As is the same memory as another case of a variant.
func As[To, From any](from *From) *To { return (*To)(unsafe.Pointer(from)) }

// Text lifts a string.
func (s Bytes) Text() string { return string(s.Lift()) }

// Lift copies bytes.
func (s Bytes) Lift() []byte {
	if s.Length == 0 {
		return []byte{}
	}
	return append([]byte(nil), unsafe.Slice((*byte)(pointer(s.At)), s.Length)...)
}

// LowerBytes lends bytes.
func LowerBytes(bytes []byte) Bytes {
	if len(bytes) == 0 {
		return Bytes{}
	}
	copied := append([]byte(nil), bytes...)
	lent = append(lent, copied)
	return Bytes{address(unsafe.Pointer(unsafe.SliceData(copied))), uint32(len(copied))}
}

// LowerText lends a string.
func LowerText(text string) Bytes { return LowerBytes([]byte(text)) }

// Elements lifts a list.
func Elements[T any](list List[T]) []T {
	if list.Length == 0 {
		return nil
	}
	return unsafe.Slice((*T)(pointer(list.At)), list.Length)
}

// LowerList lends a list.
func LowerList[T any](elements []T) List[T] {
	if len(elements) == 0 {
		return List[T]{}
	}
	lent = append(lent, elements)
	return List[T]{At: address(unsafe.Pointer(unsafe.SliceData(elements))), Length: uint32(len(elements))}
}

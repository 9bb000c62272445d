//! Confluent's framing: a zero byte, the schema's number in the registry, for Protobuf the place of the message in it,
//! then the value.

/// A value that names its schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Framed<'a> {
    /// Its schema's number in the registry.
    pub(crate) schema: u32,
    pub(crate) rest: &'a [u8],
}

/// Takes the frame off; nothing where there is none.
pub(crate) fn framed(value: &[u8]) -> Option<Framed<'_>> {
    let (head, rest) = value.split_first_chunk::<5>()?;
    let [0, number @ ..] = head else { return None };
    Some(Framed { schema: u32::from_be_bytes(*number), rest })
}

/// Takes the place of a Protobuf message off: the index of a message in its file, then of a message within that one, and
/// so on.
pub(crate) fn message_path(value: &[u8]) -> Option<(Vec<usize>, &[u8])> {
    let (count, mut rest) = zigzag(value)?;
    if count == 0 {
        // What is common is short: the file's first message.
        return Some((vec![0], rest));
    }
    let mut path = Vec::new();
    // Deeper than any file, and not so deep that a wrong byte takes all memory.
    for _ in 0..usize::try_from(count).ok().filter(|count| *count <= 32)? {
        let (index, after) = zigzag(rest)?;
        path.push(usize::try_from(index).ok()?);
        rest = after;
    }
    Some((path, rest))
}

/// A number of variable length, with its sign in the lowest bit.
fn zigzag(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let mut number = 0_u64;
    for (place, byte) in bytes.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * place).min(63);
        if byte & 0x80 == 0 {
            let signed = (number >> 1).cast_signed() ^ -(number & 1).cast_signed();
            return Some((signed, &bytes[place + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_told_from_what_has_none() {
        assert_eq!(framed(b"\0\0\0\x01\x02rest"), Some(Framed { schema: 258, rest: b"rest" }));
        assert_eq!(framed(b"{\"a\":1}"), None);
        assert_eq!(framed(b"\0\0\0"), None);
    }

    #[test]
    fn a_messages_place_is_read() {
        assert_eq!(message_path(b"\0x"), Some((vec![0], &b"x"[..])));
        assert_eq!(message_path(b"\x02\x04x"), Some((vec![2], &b"x"[..])));
        assert_eq!(message_path(b"\x04\x02\x00x"), Some((vec![1, 0], &b"x"[..])));
        assert_eq!(message_path(b"\x80\x80"), None);
        assert_eq!(message_path(b"\xff\xff\xff\xff\x0f"), None);
        assert_eq!(message_path(b"\x02\x01"), None);
    }
}

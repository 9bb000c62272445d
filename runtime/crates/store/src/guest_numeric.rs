//! Postgres's binary form of `numeric`: groups of four decimal digits. Guests see decimal text.

use std::fmt::Write;

const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const MINUS_INFINITY: u16 = 0xF000;

/// The binary form of a decimal number such as `-12.50`; none where the text is no such number.
pub(crate) fn encode(text: &str) -> Option<Vec<u8>> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (NEGATIVE, digits),
        None => (0, text),
    };
    if text == "NaN" {
        return Some(header(0, 0, NAN, 0));
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_decimal = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !is_decimal(whole) || !is_decimal(fraction) {
        return None;
    }
    let scale = u16::try_from(fraction.len()).ok().filter(|scale| *scale < 0x4000)?;

    let padding = |length: usize| "0".repeat((4 - length % 4) % 4);
    let padded = format!("{}{whole}{fraction}{}", padding(whole.len()), padding(fraction.len()));
    let groups: Vec<u16> = padded
        .as_bytes()
        .chunks(4)
        .map(|group| group.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')))
        .collect();
    let Some(first) = groups.iter().position(|group| *group != 0) else {
        return Some(header(0, 0, 0, scale));
    };
    let last = groups.iter().rposition(|group| *group != 0)?;
    let weight = i16::try_from(whole.len().div_ceil(4) as i64 - 1 - first as i64).ok()?;
    let count = u16::try_from(last + 1 - first).ok()?;
    let mut bytes = header(count, weight, sign, scale);
    bytes.extend(groups[first..=last].iter().flat_map(|group| group.to_be_bytes()));
    Some(bytes)
}

fn header(count: u16, weight: i16, sign: u16, scale: u16) -> Vec<u8> {
    [count.to_be_bytes(), weight.to_be_bytes(), sign.to_be_bytes(), scale.to_be_bytes()].concat()
}

/// The decimal text of the binary form; none where the bytes are not of that form.
pub(crate) fn decode(bytes: &[u8]) -> Option<String> {
    let words: Vec<u16> = bytes
        .chunks(2)
        .map(|pair| Some(u16::from_be_bytes(pair.try_into().ok()?)))
        .collect::<Option<_>>()?;
    let [count, weight, sign, scale, groups @ ..] = words.as_slice() else {
        return None;
    };
    match *sign {
        NAN => return Some("NaN".into()),
        INFINITY => return Some("Infinity".into()),
        MINUS_INFINITY => return Some("-Infinity".into()),
        _ if usize::from(*count) != groups.len() => return None,
        _ => {}
    }
    let weight = i32::from(weight.cast_signed());
    let group = |place: i32| {
        usize::try_from(place).ok().and_then(|place| groups.get(place)).copied().unwrap_or(0)
    };
    let mut text = String::new();
    for place in 0..=weight.max(-1) {
        let _ = write!(text, "{:04}", group(place));
    }
    let whole = text.trim_start_matches('0');
    let mut fraction = String::new();
    // Groups before the first are zero: they stand between the point and the first digit.
    let mut place = weight + 1;
    while fraction.len() < usize::from(*scale) {
        let _ = write!(fraction, "{:04}", group(place));
        place += 1;
    }
    fraction.truncate(usize::from(*scale));
    let minus = if *sign == NEGATIVE { "-" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!("{minus}{}{point}{fraction}", if whole.is_empty() { "0" } else { whole }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_it_went() {
        for text in [
            "0",
            "1",
            "-1",
            "9999",
            "10000",
            "123456789.987654321",
            "0.5",
            "0.00000001",
            "-0.10",
            "0.000",
            "100000000",
            "12345678901234567890123456789.0001",
        ] {
            assert_eq!(encode(text).and_then(|bytes| decode(&bytes)).as_deref(), Some(text));
        }
    }

    #[test]
    fn anything_else_is_none() {
        for text in ["", ".", "-", "1e3", "+1", "1,0", "0x1", " 1"] {
            assert_eq!(encode(text), None, "{text:?}");
        }
    }
}

//! Statements a guest may not send: those that end or steer its transaction or its session.
//!
//! This gives a clear error, not the containment: that is the login role's (see `guest_roles`), the transaction's
//! id, which is checked before the commit, and the connection's cleaning (see `guest_pool`).

use wasaga_domain::sql::SqlError;

/// Why the statement is refused, if it is.
pub(crate) fn refusal(statement: &str) -> Option<SqlError> {
    if statement.contains('\0') {
        return Some(SqlError::new("22021", "the statement contains a NUL character"));
    }
    let mut words = Words(statement);
    let first = words.next()?;
    let what = match first.as_str() {
        "begin" | "start" | "commit" | "end" | "rollback" | "abort" | "savepoint" | "release" => {
            "the host opens and ends the transaction, which commits with the step or task"
        }
        "prepare" | "deallocate" | "execute" => "the host prepares statements itself",
        "set" if matches!(words.next().as_deref(), Some("local" | "constraints")) => return None,
        "set" | "reset" | "discard" | "load" => "the session belongs to the host",
        "listen" | "unlisten" | "notify" => "return effects to send messages",
        "copy" => "use insert or select",
        _ => return None,
    };
    let message = format!("{} is not for guests: {what}", first.to_uppercase());
    Some(SqlError::new("25001", message))
}

/// The leading words of a statement, in lower case, without comments.
struct Words<'a>(&'a str);

impl Iterator for Words<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        self.0 = skip_blank(self.0);
        let end =
            self.0.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        (!word.is_empty()).then(|| word.to_ascii_lowercase())
    }
}

/// What follows white space, comments (they nest) and empty statements.
fn skip_blank(mut text: &str) -> &str {
    loop {
        text = text.trim_start_matches(|c: char| c.is_whitespace() || c == ';' || c == '\u{b}');
        if let Some(comment) = text.strip_prefix("--") {
            text = comment.find(['\n', '\r']).map_or("", |end| &comment[end..]);
        } else if text.starts_with("/*") {
            text = skip_comment(text);
        } else {
            return text;
        }
    }
}

fn skip_comment(text: &str) -> &str {
    let (mut depth, mut at) = (0, 0);
    loop {
        let rest = &text[at..];
        match (rest.find("/*"), rest.find("*/")) {
            (Some(open), Some(close)) if open < close => (depth, at) = (depth + 1, at + open + 2),
            (_, Some(close)) => (depth, at) = (depth - 1, at + close + 2),
            (_, None) => return "",
        }
        if depth == 0 {
            return &text[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transaction_control_is_refused_behind_any_comment() {
        for statement in [
            "commit",
            "  COMMIT AND CHAIN",
            "-- a\n/* b /* c */ */ ;rollback",
            "/**/end",
            "set session role x",
            "SET x = 1",
            "prepare transaction 'x'",
            "copy t to stdout",
            "select 1\0",
        ] {
            assert!(refusal(statement).is_some(), "{statement:?}");
        }
    }

    #[test]
    fn work_is_not() {
        for statement in [
            "select 1",
            "(select 1)",
            "/* commit */ insert into t default values",
            "set local lock_timeout = 1",
            "set constraints all immediate",
            "commitment",
            "",
            "/* open",
        ] {
            assert_eq!(refusal(statement), None, "{statement:?}");
        }
    }
}

//! What was tried and what came of it: for people, for CI (`JUnit`) and for programs (JSON).

use std::{fmt::Write as _, time::Duration};

use serde::Serialize;

/// One thing that was tried.
#[derive(Clone, Debug, Serialize)]
pub struct Case {
    /// What was tried.
    pub name: String,
    /// What came out otherwise than it had to; none: all is well.
    pub failures: Vec<String>,
    /// What the plugin logged.
    pub logs: Vec<String>,
    /// How long it took.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub took: Duration,
}

fn seconds<S: serde::Serializer>(took: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(took.as_secs_f64())
}

/// All that was tried.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// In the order in which they were tried.
    pub cases: Vec<Case>,
}

impl Report {
    /// Whether all is well, and anything was tried at all.
    pub fn is_ok(&self) -> bool {
        !self.cases.is_empty() && self.failed() == 0
    }

    /// Cases that came out otherwise than they had to.
    pub fn failed(&self) -> usize {
        self.cases.iter().filter(|case| !case.failures.is_empty()).count()
    }

    /// A line a case, what failed with why and with the plugin's logs, and a summary.
    pub fn human(&self) -> String {
        let mut text = String::new();
        for case in &self.cases {
            let verdict = if case.failures.is_empty() { "ok" } else { "FAILED" };
            let _ = writeln!(text, "{} ... {verdict}", case.name);
            for failure in &case.failures {
                let _ = writeln!(text, "    {}", failure.replace('\n', "\n    "));
            }
            for line in case.logs.iter().filter(|_| !case.failures.is_empty()) {
                let _ = writeln!(text, "    log: {line}");
            }
        }
        let (all, failed) = (self.cases.len(), self.failed());
        let _ = writeln!(text, "{all} cases: {} passed, {failed} failed", all - failed);
        text
    }

    /// `JUnit`'s XML, as CI servers read it.
    pub fn junit(&self, suite: &str) -> String {
        let took: Duration = self.cases.iter().map(|case| case.took).sum();
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"{}\" tests=\"{}\" \
             failures=\"{}\" time=\"{:.3}\">\n",
            escaped(suite),
            self.cases.len(),
            self.failed(),
            took.as_secs_f64()
        );
        for case in &self.cases {
            let (name, took) = (escaped(&case.name), case.took.as_secs_f64());
            let _ = writeln!(
                text,
                "    <testcase classname=\"{}\" name=\"{name}\" time=\"{took:.3}\">",
                escaped(suite)
            );
            if let Some(first) = case.failures.first() {
                let all = escaped(&case.failures.join("\n"));
                let _ =
                    writeln!(text, "      <failure message=\"{}\">{all}</failure>", escaped(first));
            }
            if !case.logs.is_empty() {
                let logs = escaped(&case.logs.join("\n"));
                let _ = writeln!(text, "      <system-out>{logs}</system-out>");
            }
            text.push_str("    </testcase>\n");
        }
        text.push_str("  </testsuite>\n</testsuites>\n");
        text
    }
}

/// XML 1.0 has no place for control characters, whatever their escape.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push(' '),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(name: &str, failures: &[&str]) -> Case {
        let failures = failures.iter().map(|&failure| failure.to_owned()).collect();
        Case { name: name.into(), failures, logs: vec![], took: Duration::from_millis(1500) }
    }

    #[test]
    fn what_is_no_xml_is_escaped() {
        let report = Report { cases: vec![case("a<b>&\"c\"", &["x\u{1}\ny"]), case("good", &[])] };
        let xml = report.junit("s");
        assert!(xml.contains("name=\"a&lt;b&gt;&amp;&quot;c&quot;\" time=\"1.500\""), "{xml}");
        assert!(xml.contains("<failure message=\"x\u{fffd}&#10;y\">"), "{xml}");
        assert!(xml.contains("tests=\"2\" failures=\"1\" time=\"3.000\""), "{xml}");
    }

    #[test]
    fn nothing_tried_is_not_ok() {
        assert!(!Report::default().is_ok());
        assert!(Report { cases: vec![case("a", &[])] }.is_ok());
        assert!(!Report { cases: vec![case("a", &["x"])] }.is_ok());
    }
}

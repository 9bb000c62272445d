//! Which hosts are meant: `api.example.com`, `*.example.com`, `10.0.0.7:8080`, `*`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// A host, or all hosts below a name, with their ports. Without a port the scheme's own is meant (80 or 443); `:*` is any.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPattern {
    name: Name,
    port: Port,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Any,
    /// `*.` and this.
    Below(String),
    Exactly(Host),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    Any,
    /// That of the scheme.
    Usual,
    Exactly(u16),
}

/// A text that is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no host: write api.example.com, *.example.com (all below it), an address, or *; and behind it :PORT or :* \
     where the port is not 80 or 443"
)]
pub struct BadHostPattern(String);

impl HostPattern {
    /// Whether this is the host of the URL.
    pub fn matches(&self, url: &Url) -> bool {
        let port = match self.port {
            Port::Any => true,
            Port::Usual => url.port().is_none(),
            Port::Exactly(port) => url.port_or_known_default() == Some(port),
        };
        port && url.host().is_some_and(|host| self.name.covers_host(&host.to_owned()))
    }

    /// Whether all that `other` stands for is meant.
    pub fn covers(&self, other: &Self) -> bool {
        let name = match (&self.name, &other.name) {
            (Name::Any, _) => true,
            (Name::Below(above), Name::Below(name)) => name == above || is_below(name, above),
            (_, Name::Any) | (Name::Exactly(_), Name::Below(_)) => false,
            (name, Name::Exactly(host)) => name.covers_host(host),
        };
        name && (self.port == Port::Any || self.port == other.port)
    }
}

impl Name {
    fn covers_host(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Below(above), Host::Domain(name)) => is_below(name, above),
            (Self::Below(_), _) => false,
            (Self::Exactly(own), host) => own == host,
        }
    }
}

fn is_below(name: &str, above: &str) -> bool {
    name.strip_suffix(above).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

impl FromStr for HostPattern {
    type Err = BadHostPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadHostPattern(text.to_owned());
        // The colons within [ ] are an address's own.
        let split = text.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
        let (name, port) = match split {
            None => (text, Port::Usual),
            Some((name, "*")) => (name, Port::Any),
            Some((name, port)) => (name, Port::Exactly(port.parse().map_err(|_| bad())?)),
        };
        let host = |name| Host::parse(name).map_err(|_| bad());
        let name = match name.strip_prefix("*.") {
            _ if name == "*" => Name::Any,
            None => Name::Exactly(host(name)?),
            Some(above) => match host(above)? {
                Host::Domain(above) => Name::Below(above),
                Host::Ipv4(_) | Host::Ipv6(_) => return Err(bad()),
            },
        };
        if matches!(&name, Name::Exactly(Host::Domain(name)) | Name::Below(name) if name.contains('*'))
        {
            return Err(bad());
        }
        Ok(Self { name, port })
    }
}

impl TryFrom<String> for HostPattern {
    type Error = BadHostPattern;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> Self {
        pattern.to_string()
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Name::Any => f.write_str("*")?,
            Name::Below(above) => write!(f, "*.{above}")?,
            Name::Exactly(host) => write!(f, "{host}")?,
        }
        match self.port {
            Port::Any => f.write_str(":*"),
            Port::Usual => Ok(()),
            Port::Exactly(port) => write!(f, ":{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> HostPattern {
        text.parse().expect("a pattern")
    }

    #[test]
    fn a_pattern_matches_its_hosts_and_ports() {
        let cases = [
            ("api.example.com", "https://api.example.com/x", true),
            ("api.example.com", "https://API.Example.COM/x", true),
            ("api.example.com", "http://api.example.com:80/", true),
            ("api.example.com", "https://api.example.com:8443/", false),
            ("api.example.com", "https://example.com/", false),
            ("api.example.com", "https://api.example.com.evil.org/", false),
            ("api.example.com:8443", "https://api.example.com:8443/", true),
            ("api.example.com:443", "https://api.example.com/", true),
            ("api.example.com:*", "https://api.example.com:9/", true),
            ("*.example.com", "https://a.b.example.com/", true),
            ("*.example.com", "https://example.com/", false),
            ("*.example.com", "https://badexample.com/", false),
            ("10.0.0.7:8080", "http://10.0.0.7:8080/", true),
            ("10.0.0.7", "http://0xa000007/", true),
            ("[::1]:8080", "http://[::1]:8080/", true),
            ("[::1]", "http://[::1]/", true),
            ("*", "https://anything.org/", true),
            ("*", "https://anything.org:8443/", false),
            ("*:*", "http://127.0.0.1:1/", true),
        ];
        for (text, url, expected) in cases {
            let url = Url::parse(url).expect("a URL");
            assert_eq!(pattern(text).matches(&url), expected, "{text} {url}");
        }
    }

    #[test]
    fn a_grant_covers_what_is_asked_for() {
        let cases = [
            ("*.example.com", "api.example.com", true),
            ("*.example.com", "*.eu.example.com", true),
            ("*.example.com", "example.com", false),
            ("api.example.com", "*.example.com", false),
            ("api.example.com", "api.example.com:8443", false),
            ("api.example.com:*", "api.example.com:8443", true),
            ("*:*", "*", true),
            ("*", "*:*", false),
            ("*.example.com", "*", false),
        ];
        for (granted, asked, expected) in cases {
            assert_eq!(pattern(granted).covers(&pattern(asked)), expected, "{granted} {asked}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            "*.",
            "a b",
            "https://example.com",
            "example.com:x",
            "*.10.0.0.7",
            "a.*.com",
            "::1",
        ] {
            let refused = text.parse::<HostPattern>();
            assert!(refused.is_err(), "{text:?} is taken as {refused:?}");
        }
        assert_eq!(pattern("[::1]:*").to_string(), "[::1]:*");
    }
}

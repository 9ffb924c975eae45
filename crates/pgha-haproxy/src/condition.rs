//! What HAProxy's conditions say about one host name (configuration manual, chapters 7.1 and 7.2).

/// By what a rule tells hosts apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// The server name of a TLS greeting.
    Sni,
    /// The `Host` of an HTTP request.
    Host,
}

/// Whether a condition holds for a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Truth {
    Yes,
    No,
    /// It depends on more than the host.
    Perhaps,
}

impl Truth {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, Self::Yes) => Self::Yes,
            _ => Self::Perhaps,
        }
    }

    pub(crate) fn not(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Perhaps => Self::Perhaps,
        }
    }

    fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }
}

/// One criterion with its patterns, as it stands in an `acl` line or between braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Test {
    by: Option<By>,
    method: String,
    ignores_case: bool,
    patterns: Vec<String>,
}

impl Test {
    pub(crate) fn read(words: &[&str]) -> Self {
        let (criterion, mut rest) = words.split_first().map_or(("", &[][..]), |(c, r)| (*c, r));
        let (by, mut method, mut ignores_case) = criterion_of(criterion);
        while let [flag, after @ ..] = rest {
            match (*flag, after) {
                ("-i", _) => ignores_case = true,
                ("-m", [wanted, ..]) => {
                    (*wanted).clone_into(&mut method);
                    rest = &after[1..];
                    continue;
                }
                ("--", _) => {
                    rest = after;
                    break;
                }
                // A file of patterns, and whatever else: not known here.
                (flag, _) if flag.starts_with('-') => "unknown".clone_into(&mut method),
                _ => break,
            }
            rest = after;
        }
        Self {
            by,
            method,
            ignores_case,
            patterns: rest.iter().map(|word| (*word).to_owned()).collect(),
        }
    }

    /// Whether it holds for the host and for no other.
    pub(crate) fn is_only(&self, by: By, host: &str) -> bool {
        self.patterns.len() == 1 && self.names(by, host)
    }

    /// Whether the host itself is one of its patterns.
    pub(crate) fn names(&self, by: By, host: &str) -> bool {
        self.method == "str" && self.truth(by, host) == Truth::Yes
    }

    pub(crate) fn truth(&self, by: By, host: &str) -> Truth {
        if self.by != Some(by) {
            return Truth::Perhaps;
        }
        let fold = |text: &str| {
            if self.ignores_case {
                text.to_ascii_lowercase()
            } else {
                text.to_owned()
            }
        };
        let host = fold(host);
        let mut patterns = self.patterns.iter().map(|pattern| fold(pattern));
        let holds = match self.method.as_str() {
            "found" => true,
            "str" => patterns.any(|pattern| pattern == host),
            "end" => patterns.any(|pattern| host.ends_with(&pattern)),
            "beg" => patterns.any(|pattern| host.starts_with(&pattern)),
            "sub" => patterns.any(|pattern| host.contains(&pattern)),
            "dom" => patterns.any(|pattern| {
                let pattern = pattern.trim_matches('.');
                format!(".{host}.").contains(&format!(".{pattern}."))
            }),
            _ => return Truth::Perhaps,
        };
        if holds { Truth::Yes } else { Truth::No }
    }
}

/// What is compared, by which method, and whether a converter takes the case away.
fn criterion_of(criterion: &str) -> (Option<By>, String, bool) {
    let mut parts = criterion.split(',');
    let fetch = parts.next().unwrap_or_default();
    let converters: Vec<&str> = parts.collect();
    let is_lower = converters == ["lower"];
    if !converters.is_empty() && !is_lower {
        return (None, "unknown".to_owned(), false);
    }
    let (name, argument) = fetch.split_once('(').unwrap_or((fetch, ""));
    let is_host = argument.eq_ignore_ascii_case("host)");
    let methods = ["beg", "end", "dom", "sub", "reg", "dir", "len"];
    let suffix = methods.iter().find_map(|method| {
        let base = name.strip_suffix(method)?.strip_suffix('_')?;
        Some((base, *method))
    });
    let (base, method) = suffix.unwrap_or((name, "str"));
    let by = match base {
        "req.ssl_sni" | "req_ssl_sni" | "ssl_fc_sni" if argument.is_empty() => Some(By::Sni),
        "hdr" | "req.hdr" if is_host => Some(By::Host),
        _ => None,
    };
    (by, method.to_owned(), is_lower)
}

/// A condition: any of its lists, each with all of its terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition(Vec<Vec<Term>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    is_negated: bool,
    of: Of,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Of {
    Braces(Test),
    Named(String),
}

/// The `acl` lines that a condition may name: their names and tests.
pub(crate) type Acls = Vec<(String, Test)>;

impl Condition {
    pub(crate) fn read(words: &[&str]) -> Self {
        let mut lists = vec![Vec::new()];
        let (mut at, mut is_negated) = (0, false);
        while let Some(word) = words.get(at) {
            at += 1;
            let of = match *word {
                "or" | "||" => {
                    lists.push(Vec::new());
                    continue;
                }
                "!" => {
                    is_negated = !is_negated;
                    continue;
                }
                "{" | "!{" => {
                    is_negated ^= *word == "!{";
                    let rest = &words[at..];
                    let inside = rest.iter().position(|word| *word == "}");
                    let inside = inside.unwrap_or(rest.len());
                    at += inside + 1;
                    Of::Braces(Test::read(&rest[..inside]))
                }
                name => {
                    is_negated ^= name.starts_with('!');
                    Of::Named(name.trim_start_matches('!').to_owned())
                }
            };
            if let Some(list) = lists.last_mut() {
                list.push(Term { is_negated, of });
            }
            is_negated = false;
        }
        Self(lists)
    }

    pub(crate) fn truth(&self, acls: &Acls, by: By, host: &str) -> Truth {
        let lists = self.0.iter().map(|list| {
            let terms = list.iter().map(|term| {
                let truth = term.of.truth(acls, by, host);
                if term.is_negated { truth.not() } else { truth }
            });
            terms.fold(Truth::Yes, Truth::and)
        });
        lists.fold(Truth::No, Truth::or)
    }

    /// Whether it is about this host and nothing else.
    pub(crate) fn is_only(&self, acls: &Acls, by: By, host: &str) -> bool {
        match self.0.as_slice() {
            [list] => match list.as_slice() {
                [term] => {
                    let mut tests = term.of.tests(acls);
                    !term.is_negated
                        && tests.next().is_some_and(|test| test.is_only(by, host))
                        && tests.next().is_none()
                }
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether the host is named in it, beside others or under more conditions.
    pub(crate) fn names(&self, acls: &Acls, by: By, host: &str) -> bool {
        let mut terms = self.0.iter().flatten();
        terms.any(|term| term.of.tests(acls).any(|test| test.names(by, host)))
    }
}

impl Of {
    fn tests<'a>(&'a self, acls: &'a Acls) -> Box<dyn Iterator<Item = &'a Test> + 'a> {
        match self {
            Self::Braces(test) => Box::new(std::iter::once(test)),
            Self::Named(name) => {
                let named = acls.iter().filter(move |(known, _)| known == name);
                Box::new(named.map(|(_, test)| test))
            }
        }
    }

    fn truth(&self, acls: &Acls, by: By, host: &str) -> Truth {
        match self {
            Self::Named(name) if name == "TRUE" => Truth::Yes,
            Self::Named(name) if name == "FALSE" => Truth::No,
            Self::Named(_) if self.tests(acls).next().is_none() => Truth::Perhaps,
            Self::Braces(_) | Self::Named(_) => {
                let tests = self.tests(acls).map(|test| test.truth(by, host));
                tests.fold(Truth::No, Truth::or)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "login.ois.run";

    fn acls() -> Acls {
        let acl = |name: &str, text: &str| {
            let words: Vec<_> = text.split(' ').collect();
            (name.to_owned(), Test::read(&words))
        };
        vec![
            acl("login", "req.ssl_sni -i login.ois.run"),
            acl("two", "req.ssl_sni -i login.ois.run"),
            acl("two", "req.ssl_sni -i other.ois.run"),
        ]
    }

    fn read(text: &str) -> Condition {
        Condition::read(&text.split(' ').collect::<Vec<_>>())
    }

    fn truth(text: &str) -> Truth {
        read(text).truth(&acls(), By::Sni, HOST)
    }

    #[test]
    fn methods_flags_and_old_names_are_known() {
        for yes in [
            "{ req.ssl_sni -i LOGIN.ois.run }",
            "{ req_ssl_sni login.ois.run }",
            "{ ssl_fc_sni -m str a login.ois.run }",
            "{ req.ssl_sni -i -m end .ois.run }",
            "{ req.ssl_sni,lower -m beg login. }",
            "{ req.ssl_sni -m dom ois.run }",
            "{ req.ssl_sni -m sub ois }",
            "{ req.ssl_sni_end .ois.run }",
            "{ req.ssl_sni -m found }",
            "login",
            "two !{ src 10.0.0.0/8 } or TRUE",
        ] {
            assert_eq!(truth(yes), Truth::Yes, "{yes}");
        }
        for no in [
            "{ req.ssl_sni LOGIN.ois.run }",
            "{ req.ssl_sni -m end .holos.run }",
            "{ req.ssl_sni -m dom run.ois }",
            "!login",
            "! login",
            "!{ req.ssl_sni -i login.ois.run }",
            "FALSE",
        ] {
            assert_eq!(truth(no), Truth::No, "{no}");
        }
    }

    #[test]
    fn what_depends_on_more_is_neither() {
        for perhaps in [
            "{ src 10.0.0.0/8 }",
            "{ hdr(host) -i login.ois.run }",
            "{ req.ssl_sni -m reg ^l }",
            "{ req.ssl_sni -f hosts.lst }",
            "{ req.ssl_sni,field(1,:) -i other }",
            "login { dst_port 443 }",
            "undefined",
        ] {
            assert_eq!(truth(perhaps), Truth::Perhaps, "{perhaps}");
        }
    }

    #[test]
    fn a_condition_is_only_about_the_host_or_names_it() {
        let is_only = |text: &str| read(text).is_only(&acls(), By::Sni, HOST);
        assert!(is_only("{ req.ssl_sni -i login.ois.run }") && is_only("login"));
        for shared in [
            "two",
            "{ req.ssl_sni -i login.ois.run other.ois.run }",
            "login { dst_port 443 }",
            "login or { req.ssl_sni -i other.ois.run }",
        ] {
            assert!(!is_only(shared), "{shared}");
            assert!(read(shared).names(&acls(), By::Sni, HOST), "{shared}");
        }
        assert!(!is_only("{ req.ssl_sni -i -m end login.ois.run }"));
        assert!(!read("{ req.ssl_sni -m end .ois.run }").names(&acls(), By::Sni, HOST));
    }

    #[test]
    fn a_host_header_is_known_by_its_names() {
        for text in [
            "{ hdr(host) -i login.ois.run }",
            "{ req.hdr(Host) login.ois.run }",
        ] {
            assert!(read(text).is_only(&acls(), By::Host, HOST), "{text}");
        }
        let end = read("{ hdr_end(host) -i .ois.run }");
        assert_eq!(end.truth(&acls(), By::Host, HOST), Truth::Yes);
    }
}

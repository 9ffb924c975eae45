//! Where in a document a value is.

use std::fmt;
use std::str::FromStr;

/// A JSON pointer (RFC 6901): `/spec/standby/enabled`. An item of a list is named by its index from 0.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pointer(Vec<String>);

/// A text that is no pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a pointer begins with `/`, and `~` stands in it as `~0`, `/` as `~1`")]
pub struct BadPointer;

impl Pointer {
    /// The pointer of keys and indexes, as they are.
    pub fn new<T: Into<String>>(tokens: impl IntoIterator<Item = T>) -> Self {
        Self(tokens.into_iter().map(Into::into).collect())
    }

    /// Its keys and indexes, without escapes. None of them means the whole document.
    pub fn tokens(&self) -> &[String] {
        &self.0
    }

    /// The pointer to what is below it.
    #[must_use]
    pub fn below(&self, token: &str) -> Self {
        let mut tokens = self.0.clone();
        tokens.push(token.to_owned());
        Self(tokens)
    }

    /// Whether the other pointer is this one, or to something below it.
    pub fn covers(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }
}

impl FromStr for Pointer {
    type Err = BadPointer;

    fn from_str(text: &str) -> Result<Self, BadPointer> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let tokens = text.strip_prefix('/').ok_or(BadPointer)?.split('/');
        tokens.map(unescaped).collect::<Result<_, _>>().map(Self)
    }
}

fn unescaped(token: &str) -> Result<String, BadPointer> {
    let rest = token.replace("~0", "").replace("~1", "");
    if rest.contains('~') {
        return Err(BadPointer);
    }
    Ok(token.replace("~1", "/").replace("~0", "~"))
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for token in &self.0 {
            write!(f, "/{}", token.replace('~', "~0").replace('/', "~1"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_read_and_shown() {
        for text in ["", "/", "/spec/standby", "/metadata/annotations/a~1b~0c/0"] {
            let pointer: Pointer = text.parse().unwrap();
            assert_eq!(pointer.to_string(), text);
        }
        let pointer: Pointer = "/a~1b~0c/~01".parse().unwrap();
        assert_eq!(pointer.tokens(), ["a/b~c", "~1"]);
    }

    #[test]
    fn what_is_no_pointer_is_refused() {
        for text in ["spec", "spec/x", "/a~2", "/a~"] {
            assert_eq!(text.parse::<Pointer>(), Err(BadPointer), "{text}");
        }
    }

    #[test]
    fn a_pointer_covers_itself_and_what_is_below() {
        let pointer = Pointer::new(["spec", "dataSource"]);
        assert!(pointer.covers(&pointer) && pointer.covers(&pointer.below("x")));
        assert!(!pointer.covers(&Pointer::new(["spec"])));
        assert!(!pointer.covers(&Pointer::new(["spec", "dataSources"])));
    }
}

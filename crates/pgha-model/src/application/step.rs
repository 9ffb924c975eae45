//! What a step of an application says.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{At, ObjectName};

/// What stands for the name of the site in a URL.
const SITE: &str = "{site}";

/// One thing that differs between the primary's site and the other's, or is done where the application enters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum AppStep {
    /// A workload that has pods only where the primary is.
    Scale(Scale),
    /// An annotation, for those who read one: whether a controller may touch the object, say.
    Annotate(Annotate),
    /// A Service that leads to other pods where the standby is: to those with a maintenance page, say.
    Select(Select),
    /// A workload whose pods are replaced where the application enters.
    Restart(Restart),
    /// A Job that is to be complete where the application enters, and not under way where it leaves.
    Job(Job),
    /// A request over HTTP, which puts a maintenance page on or off, say.
    Call(Call),
    /// An answer over HTTP that is awaited where the application enters.
    Wait(Wait),
}

/// Which of both roles a site has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The application is to run there.
    Primary,
    /// It is not.
    Standby,
}

/// A workload that has pods only where the primary is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scale {
    /// Which: `deployment/zitadel`.
    pub object: ObjectName,
    /// Its namespace [default: the site's].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// How many pods [default: as many as there were at the site that is left].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
}

/// An annotation that says something else where the primary is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Annotate {
    /// Of which object.
    pub object: ObjectName,
    /// Its namespace [default: the site's].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its key.
    pub key: String,
    /// Its value where the primary is; without one it is absent there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<String>,
    /// Its value where the standby is; without one it is absent there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standby: Option<String>,
}

/// A Service whose selector says something else where the primary is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Select {
    /// Which Service.
    pub object: ObjectName,
    /// Its namespace [default: the site's].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The labels of the pods that it leads to where the primary is.
    pub primary: BTreeMap<String, String>,
    /// And where the standby is.
    pub standby: BTreeMap<String, String>,
}

/// A workload whose pods are replaced where the application enters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Restart {
    /// Which Deployment, `StatefulSet` or `DaemonSet`.
    pub object: ObjectName,
    /// Its namespace [default: the site's].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// A Job that is to be complete where the application enters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Job {
    /// Which Job.
    pub object: ObjectName,
    /// Its namespace [default: the site's].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Whether one that has ended is removed and made again from what it said, since the template of a Job cannot be changed.
    #[serde(default)]
    pub recreate: bool,
}

/// A request over HTTP for each role of a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Call {
    /// What is asked for where the application enters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<Request>,
    /// What is asked for where it leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standby: Option<Request>,
    /// A file with a bearer token, of the user's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// A file with the certificate authorities to trust, in PEM [default: the system's].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

/// A request that may be sent twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// By which method.
    #[serde(default)]
    pub method: Method,
    /// Of what.
    pub url: Url,
    /// A body of JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<serde_json::Value>,
}

/// A method that changes something (RFC 9110, section 9; RFC 5789).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// POST.
    #[default]
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
}

/// An answer over HTTP that is awaited where the application enters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Wait {
    /// What is asked for.
    pub url: Url,
    /// The status of the answer, from 200 to 599.
    #[serde(default = "ok")]
    pub status: u16,
    /// What its body has in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// A host and port to connect to in place of the URL's: an ingress of the site itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_to: Option<String>,
    /// A file with the certificate authorities to trust, in PEM [default: the system's].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

const fn ok() -> u16 {
    200
}

/// The URL of something over HTTP; `{site}` in it stands for the name of the site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("pattern" = "^https?://"))
)]
#[serde(try_from = "String", into = "String")]
pub struct Url(String);

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare = ["https://", "http://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme))
            .ok_or("a URL begins with http:// or https://")?;
        let server = bare.split(['/', '?']).next().unwrap_or_default();
        if server.is_empty() {
            return Err("the URL names no host".to_owned());
        }
        if server.contains('@') {
            return Err("the URL holds a user name".to_owned());
        }
        if !text.chars().all(|c| c.is_ascii_graphic()) {
            return Err("the URL holds what must be escaped in one".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Url {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Url> for String {
    fn from(url: Url) -> Self {
        url.0
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Url {
    fn at(&self, site: &str) -> Self {
        Self(self.0.replace(SITE, site))
    }
}

impl Method {
    /// As HTTP writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method.name(), self.url)
    }
}

impl Call {
    /// What is asked for on a side.
    pub const fn on(&self, side: Side) -> Option<&Request> {
        match side {
            Side::Primary => self.primary.as_ref(),
            Side::Standby => self.standby.as_ref(),
        }
    }
}

macro_rules! about_an_object {
    ($($step:ident),+) => {
        $(impl $step {
            /// The object that it is about.
            pub fn at(&self) -> At {
                At::new(&self.object, self.namespace.as_deref())
            }
        })+
    };
}

about_an_object!(Scale, Annotate, Select, Restart, Job);

impl AppStep {
    /// The object that it is about; `None` for what is asked over HTTP.
    pub fn object(&self) -> Option<At> {
        match self {
            Self::Scale(scale) => Some(scale.at()),
            Self::Annotate(annotate) => Some(annotate.at()),
            Self::Select(select) => Some(select.at()),
            Self::Restart(restart) => Some(restart.at()),
            Self::Job(job) => Some(job.at()),
            Self::Call(_) | Self::Wait(_) => None,
        }
    }

    /// Whether it does something wherever the application enters, however things are there.
    pub const fn acts(&self) -> bool {
        match self {
            Self::Restart(_) => true,
            Self::Job(job) => job.recreate,
            Self::Call(call) => call.primary.is_some(),
            Self::Scale(_) | Self::Annotate(_) | Self::Select(_) | Self::Wait(_) => false,
        }
    }

    /// The step at the site of this name, which a URL may have in it.
    #[must_use]
    pub fn at_site(&self, site: &str) -> Cow<'_, Self> {
        let in_url = |request: &Request| Request {
            url: request.url.at(site),
            ..request.clone()
        };
        match self {
            Self::Call(call) => Cow::Owned(Self::Call(Call {
                primary: call.primary.as_ref().map(in_url),
                standby: call.standby.as_ref().map(in_url),
                ..call.clone()
            })),
            Self::Wait(wait) => Cow::Owned(Self::Wait(Wait {
                url: wait.url.at(site),
                connect_to: wait.connect_to.as_ref().map(|to| to.replace(SITE, site)),
                ..wait.clone()
            })),
            Self::Scale(_)
            | Self::Annotate(_)
            | Self::Select(_)
            | Self::Restart(_)
            | Self::Job(_) => Cow::Borrowed(self),
        }
    }

    /// The step with its files where `place` puts them.
    #[must_use]
    pub fn with_files(mut self, place: impl Fn(PathBuf) -> PathBuf) -> Self {
        let files = match &mut self {
            Self::Call(call) => [call.token_file.as_mut(), call.ca_file.as_mut()],
            Self::Wait(wait) => [wait.ca_file.as_mut(), None],
            Self::Scale(_)
            | Self::Annotate(_)
            | Self::Select(_)
            | Self::Restart(_)
            | Self::Job(_) => [None, None],
        };
        for file in files.into_iter().flatten() {
            *file = place(std::mem::take(file));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_url_that_cannot_be_asked_is_refused() {
        for good in [
            "https://login.example/ready?x=1",
            "http://[::1]:8080",
            "https://{site}.example",
        ] {
            assert!(good.parse::<Url>().is_ok(), "{good}");
        }
        for (text, words) in [
            ("login.example", "begins with"),
            ("ftp://login.example", "begins with"),
            ("https://", "no host"),
            ("https:///x", "no host"),
            ("https://me:secret@login.example", "user name"),
            ("https://login.example/a b", "escaped"),
            ("https://login.example/\u{1b}[31m", "escaped"),
        ] {
            let said = text.parse::<Url>().unwrap_err();
            assert!(said.contains(words) && !said.contains("secret"), "{said}");
        }
    }

    #[test]
    fn a_url_has_the_site_in_it_and_a_file_lies_where_it_is_put() {
        let steps = json!([
            {"call": {"standby": {"url": "https://{site}.example/on", "json": {"on": true}}, "tokenFile": "t"}},
            {"wait": {"url": "https://login.example", "connectTo": "{site}.example:443", "caFile": "ca"}},
            {"scale": {"object": "deployment/{site}"}},
        ]);
        assert!(serde_json::from_value::<Vec<AppStep>>(steps.clone()).is_err());
        let steps = &steps.as_array().unwrap()[..2];
        let steps: Vec<AppStep> = serde_json::from_value(json!(steps)).unwrap();
        let place = |path| std::path::Path::new("/srv").join(path);
        let placed: Vec<_> = steps
            .iter()
            .map(|step| step.at_site("core1").into_owned().with_files(place))
            .collect();
        let text = serde_json::to_value(&placed).unwrap();
        assert_eq!(
            text[0]["call"]["standby"]["url"],
            "https://core1.example/on"
        );
        assert_eq!(text[0]["call"]["standby"]["method"], "POST");
        assert_eq!(text[0]["call"]["tokenFile"], "/srv/t");
        assert_eq!(
            (&text[1]["wait"]["connectTo"], &text[1]["wait"]["caFile"]),
            (&json!("core1.example:443"), &json!("/srv/ca"))
        );
    }
}

//! OpenID Connect tokens: read strictly, and proved against an issuer that was configured and never against what the token
//! says of itself (RFC 8725).
//!
//! [`IdToken::read`] makes no request. [`verify()`] makes none either: it is a function of the token, the keys, what is
//! expected and the time. [`Issuer`] is between them: it fetches the keys. [`Login`] gets a token in the first place.

mod algorithm;
mod baseline;
mod claims;
mod compact;
mod issuer;
mod json;
mod jwks;
mod login;
mod proof;
mod review;
mod roca;
mod signature;
mod token;
mod user;
mod verify;
mod web;
#[cfg(test)]
mod wycheproof;

pub use self::algorithm::Algorithm;
pub use self::baseline::{Baseline, NoBaseline};
pub use self::claims::{Claims, IdToken, NoTime};
pub use self::compact::{Compact, Header, TokenError};
pub use self::issuer::{Issuer, IssuerUrl};
pub use self::json::JsonError;
pub use self::jwks::{Key, KeyError, KeySet, KeySetError, Unusable};
pub use self::login::{Begun, DeviceCode, Grant, Login, LoginError};
pub use self::proof::{JUST_NOW, Proof};
pub use self::review::{Reviewed, review};
pub use self::token::{CredentialError, LONGEST_TOKEN, Token, read_credential};
pub use self::user::{UserError, token_of_user};
pub use self::verify::{Check, DEFAULT_SKEW, Expectations, Outcome, Verdict, verify};
pub use self::web::{IssuerError, Web};

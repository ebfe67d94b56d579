//! Keys and names as PKCS#11 has them: the attributes of objects, the identity of tokens and the URIs of RFC 7512.
//!
//! ```text
//! module's octets ──► attributes ──► PublicKey            SecretKey, Curve ──► template ──► attributes of new objects
//!                     token_id, key_id ◄──► GnuPG's words uri ◄──► a person's, and other programs' words
//! ```
//!
//! No module is called here; what calls them is `claviger-cards`. Follows PKCS#11 3.1 and, for ML-DSA and ML-KEM, 3.2.

pub mod attributes;
mod curve_name;
mod escape;
pub mod key_id;
pub mod numbers;
pub mod template;
pub mod token_id;
pub mod uri;

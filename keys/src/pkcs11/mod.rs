//! Keys and names as PKCS#11 has them: the attributes of key objects, the identity of tokens and the URIs of RFC 7512.
//!
//! No module is called here; what calls them is `claviger-cards`.

pub mod token_id;
pub mod uri;

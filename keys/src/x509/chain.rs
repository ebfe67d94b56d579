//! From a certificate to its issuers, as far as those at hand lead (RFC 5280, section 6, without any of its judgement:
//! whether a chain is to be trusted, or still valid, is for those to find out whom it is shown to).

use super::{Certificate, Fields};

/// The longest chain, the leaf counted.
pub const MAX_CHAIN: usize = 16;

/// How many candidates of the right name are tried for one place in the chain.
pub const MAX_TRIES: usize = 32;

/// The chain from `leaf` upwards, leaf first. It ends with a certificate that names itself as its issuer, or where no
/// candidate fits.
///
/// Candidates may come in any order, more than once, and be broken. One fits if its subject is the issuer, its key
/// identifier does not differ from what is asked for, and `is_signed_by(certificate, issuer)` holds. Those with the
/// key identifier that is asked for are tried first, then those that have none.
pub fn build<'a>(
    leaf: &'a Certificate,
    candidates: &[&'a Certificate],
    is_signed_by: impl Fn(&Certificate, &Certificate) -> bool,
) -> Vec<&'a Certificate> {
    let mut chain = vec![leaf];
    while chain.len() < MAX_CHAIN {
        let issuer = chain.last().and_then(|last| issuer(last, candidates, &is_signed_by));
        match issuer {
            // A name that leads back into the chain leads nowhere.
            Some(issuer) if !chain.contains(&issuer) => chain.push(issuer),
            _ => break,
        }
    }
    chain
}

fn issuer<'a>(
    certificate: &Certificate,
    candidates: &[&'a Certificate],
    is_signed_by: impl Fn(&Certificate, &Certificate) -> bool,
) -> Option<&'a Certificate> {
    let fields = certificate.fields().ok().filter(|fields| !fields.is_self_issued())?;
    let issuer = fields.issuer().to_string();
    let mut fitting: Vec<_> = candidates
        .iter()
        .filter(|candidate| **candidate != certificate)
        .filter_map(|candidate| Some((fit(fields, &issuer, candidate.fields().ok()?)?, *candidate)))
        .collect();
    fitting.sort_by_key(|(fit, _)| *fit);
    let mut tried = fitting.into_iter().map(|(_, candidate)| candidate).take(MAX_TRIES);
    tried.find(|candidate| is_signed_by(certificate, candidate))
}

/// How well a candidate fits before its key is tried, the best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    NameAndKey,
    Name,
}

fn fit(fields: &Fields, issuer: &str, candidate: &Fields) -> Option<Fit> {
    let subject = candidate.subject();
    if subject.der() != fields.issuer().der() && subject.to_string() != issuer {
        return None;
    }
    match (fields.authority_key_id(), candidate.subject_key_id()) {
        (Some(wanted), Some(found)) => (wanted == found).then_some(Fit::NameAndKey),
        _ => Some(Fit::Name),
    }
}

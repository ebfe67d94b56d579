//! From a certificate to its issuers, as far as those at hand lead (RFC 5280, section 6, without any of its judgement:
//! whether a chain is to be trusted, or still valid, is for those to find out whom it is shown to).

use super::{Certificate, Fields};

/// The longest chain, the leaf counted.
pub const MAX_CHAIN: usize = 16;

/// How many signatures are checked for one chain: four times as many as the longest has.
pub const MAX_TRIES: usize = 64;

/// The chain from `leaf` upwards, leaf first: one that ends with a certificate that names itself as its issuer, or if
/// none does, the longest.
///
/// Candidates may come in any order, more than once, and be broken. One fits if its subject is the issuer, its key
/// identifier does not differ from what is asked for, and `is_signed_by(certificate, issuer)` holds. Those with the
/// key identifier that is asked for are tried first, then those that have none; among equals, the first. Where the name
/// and key of an issuer are in several certificates (cross-signed, renewed), another is tried if one leads nowhere.
pub fn build<'a>(
    leaf: &'a Certificate,
    candidates: &[&'a Certificate],
    is_signed_by: impl Fn(&Certificate, &Certificate) -> bool,
) -> Vec<&'a Certificate> {
    let mut climb = Climb { candidates, is_signed_by, tries: MAX_TRIES, longest: Vec::new() };
    climb.from(&mut vec![leaf]);
    climb.longest
}

/// A search for the end of the chain, depth first.
struct Climb<'a, 'c, F> {
    candidates: &'c [&'a Certificate],
    is_signed_by: F,
    tries: usize,
    /// The best chain so far.
    longest: Vec<&'a Certificate>,
}

impl<'a, F: Fn(&Certificate, &Certificate) -> bool> Climb<'a, '_, F> {
    /// Whether the chain leads to its end; then it is the longest.
    fn from(&mut self, chain: &mut Vec<&'a Certificate>) -> bool {
        let Some(&last) = chain.last() else { return false };
        let is_complete = last.fields().is_ok_and(Fields::is_self_issued);
        if is_complete || chain.len() > self.longest.len() {
            self.longest.clone_from(chain);
        }
        is_complete || (chain.len() < MAX_CHAIN && self.over_an_issuer_of(last, chain))
    }

    fn over_an_issuer_of(&mut self, last: &Certificate, chain: &mut Vec<&'a Certificate>) -> bool {
        for issuer in fitting(last, self.candidates) {
            // A certificate that leads back into the chain leads nowhere.
            if chain.iter().any(|one| one.bare() == issuer.bare()) || !self.may_be_signed(last, issuer) {
                continue;
            }
            chain.push(issuer);
            if self.from(chain) {
                return true;
            }
            chain.pop();
        }
        false
    }

    fn may_be_signed(&mut self, certificate: &Certificate, issuer: &Certificate) -> bool {
        let Some(left) = self.tries.checked_sub(1) else { return false };
        self.tries = left;
        (self.is_signed_by)(certificate, issuer)
    }
}

/// Those whose name and key identifier fit, the best first, each once.
fn fitting<'a>(certificate: &Certificate, candidates: &[&'a Certificate]) -> Vec<&'a Certificate> {
    let Ok(fields) = certificate.fields() else { return Vec::new() };
    let issuer = fields.issuer().to_string();
    let fits =
        |candidate: &'a Certificate| Some((fit(fields, &issuer, candidate.fields().ok()?)?, candidate));
    let mut fitting: Vec<_> = candidates.iter().filter_map(|candidate| fits(candidate)).collect();
    fitting.sort_by_key(|(fit, _)| *fit);
    let mut once: Vec<&Certificate> = Vec::new();
    for (_, candidate) in fitting {
        if once.len() >= MAX_TRIES {
            break;
        }
        if !once.iter().any(|known| known.bare() == candidate.bare()) {
            once.push(candidate);
        }
    }
    once
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

//! Certificates of testdata, for tests.

use claviger_cards::token::{Insertion, Slot as CardSlot};
use claviger_keys::Keygrip;
use claviger_keys::x509::{Certificate, read_file};

use super::{Place, Slot};

/// The stay of the session's own card.
pub(super) const OWN: Insertion = Insertion(7);

pub(super) fn certificate(name: &str) -> Certificate {
    let path = format!("{}/../testdata/certificates/{name}.pem", env!("CARGO_MANIFEST_DIR"));
    read_file(&std::fs::read(path).unwrap()).unwrap().remove(0)
}

pub(super) fn slot(number: CardSlot, keygrip: Option<Keygrip>, certificate: Option<Certificate>) -> Slot {
    let fingerprint = Some([number.index() as u8 + 1; 20]);
    Slot {
        insertion: OWN,
        serial: "D276000124010304FFFE123456780000".to_owned(),
        place: Place::Card(number),
        keygrip,
        fingerprint,
        certificate,
    }
}

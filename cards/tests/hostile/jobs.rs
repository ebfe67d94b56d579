//! What is done with the card: one job of each kind.

use claviger_cards::token::{Cryptogram, DataObject, PinRef, Request, Slot};

use crate::common::private_key;

/// A job with a name.
pub(crate) struct Work {
    pub(crate) name: &'static str,
    pub(crate) request: fn() -> Request,
}

const fn work(name: &'static str, request: fn() -> Request) -> Work {
    Work { name, request }
}

/// In an order in which each can be done.
pub(crate) const JOBS: [Work; 26] = [
    work("refresh", || Request::Refresh),
    work("set algorithm", || Request::SetAlgorithm(Slot::Sign, attributes(Slot::Sign))),
    work("generate 1", || generate(Slot::Sign)),
    work("generate 2", || generate(Slot::Decrypt)),
    work("generate 3", || generate(Slot::Authenticate)),
    work("signature counter", || Request::SignatureCounter),
    work("name", || Request::Object(DataObject::Name)),
    work("kdf", || Request::Object(DataObject::Kdf)),
    work("public key", || Request::PublicKey(Slot::Sign)),
    work("sign", || Request::Sign(vec![7; 32])),
    work("decipher", || Request::Decipher(Cryptogram::Ecdh([&[9][..], &[0; 31]].concat()))),
    work("authenticate", || Request::Authenticate(vec![7; 32])),
    work("write object", || Request::Put(DataObject::Login, vec![7; 200])),
    work("write certificate", || Request::PutCertificate(Slot::Authenticate, vec![7; 700])),
    work("certificate", || Request::Certificate(Slot::Authenticate)),
    work("certificates", || Request::Certificates),
    work("verify", || Request::Verify(PinRef::User)),
    work("change user PIN", || Request::ChangePin(PinRef::User)),
    work("change admin PIN", || Request::ChangePin(PinRef::Admin)),
    work("set reset code", || Request::SetResetCode),
    work("unblock with reset code", || Request::UnblockWithResetCode),
    work("unblock as admin", || Request::UnblockAsAdmin),
    work("random", || Request::Random(300)),
    work("raw", || Request::Apdu { command: vec![0, 0xca, 0, 0x6e, 0], more: true }),
    work("import", || {
        let key = Box::new(private_key("AFAE6DAF42328DC41266296A9EA4EC1DE1A9E574", "1700000001"));
        Request::Import { slot: Slot::Sign, force: true, created: 1_700_000_001, key }
    }),
    work("forget verifications", || Request::ForgetVerifications(PinRef::VERIFIED)),
];

fn generate(slot: Slot) -> Request {
    let attributes = Some(attributes(slot));
    Request::Generate { slot, force: false, created: 1_704_067_200, attributes, ecdh: None }
}

fn attributes(slot: Slot) -> Vec<u8> {
    match slot {
        Slot::Decrypt => b"\x12\x2b\x06\x01\x04\x01\x97\x55\x01\x05\x01".to_vec(),
        Slot::Sign | Slot::Authenticate => b"\x16\x2b\x06\x01\x04\x01\xda\x47\x0f\x01".to_vec(),
    }
}

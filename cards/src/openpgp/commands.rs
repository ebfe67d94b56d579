//! The commands of the OpenPGP card, one function each, with their sections in the specification 3.4.

use claviger_secret::Secret;

use crate::openpgp::apdu::{Command, Expected, SecretCommand};
use crate::token::{PinRef, Slot};

/// What SELECT names: the first octets of every OpenPGP card's AID (4.2.1).
pub(crate) const APPLICATION: [u8; 6] = [0xd2, 0x76, 0x00, 0x01, 0x24, 0x01];

/// Names of what is being done, for errors.
pub(crate) mod name {
    pub(crate) const SELECT: &str = "selecting the OpenPGP application";
    pub(crate) const RELATED: &str = "reading the application related data";
    pub(crate) const GET: &str = "reading a data object";
    pub(crate) const PUT: &str = "writing a data object";
    pub(crate) const COUNTER: &str = "reading the signature counter";
    pub(crate) const VERIFY: &str = "verifying the PIN";
    pub(crate) const FORGET: &str = "forgetting a verification";
    pub(crate) const CHANGE: &str = "changing the PIN";
    pub(crate) const UNBLOCK: &str = "resetting the retry counter";
    pub(crate) const SIGN: &str = "signing";
    pub(crate) const AUTHENTICATE: &str = "authenticating";
    pub(crate) const DECIPHER: &str = "deciphering";
    pub(crate) const READ_KEY: &str = "reading the public key";
    pub(crate) const GENERATE: &str = "generating a key";
    pub(crate) const IMPORT: &str = "importing a key";
    pub(crate) const CERTIFICATE: &str = "selecting the certificate";
    pub(crate) const CHALLENGE: &str = "getting random octets";
    pub(crate) const ATTEST: &str = "attesting a key";
    pub(crate) const RESET: &str = "resetting the card";
    pub(crate) const RAW: &str = "sending a raw command";
}

/// SELECT (7.2.1). As GnuPG asks it, without Le: some cards answer with nothing they could be asked for.
pub(crate) fn select() -> Command {
    Command {
        name: name::SELECT,
        header: [0x00, 0xa4, 0x04, 0x00],
        data: APPLICATION.to_vec(),
        expected: Expected::Nothing,
    }
}

/// GET DATA of 6E, Application Related Data (7.2.6), the only one that is asked in extended length untried.
pub(crate) fn related_data() -> Command {
    get_data(name::RELATED, 0x6e, 0x1_0000)
}

/// GET DATA (7.2.6).
pub(crate) fn get_data(name: &'static str, tag: u16, at_most: usize) -> Command {
    let [high, low] = tag.to_be_bytes();
    Command { name, header: [0x00, 0xca, high, low], data: Vec::new(), expected: Expected::UpTo(at_most) }
}

/// GET NEXT DATA of a tag that may occur several times (7.2.7): the occurrence behind the one that was read last.
pub(crate) fn get_next_data(name: &'static str, tag: u16, at_most: usize) -> Command {
    let [high, low] = tag.to_be_bytes();
    Command { name, header: [0x00, 0xcc, high, low], data: Vec::new(), expected: Expected::UpTo(at_most) }
}

/// PUT DATA (7.2.8).
pub(crate) fn put_data(tag: u16, value: &[u8]) -> Command {
    let [high, low] = tag.to_be_bytes();
    Command {
        name: name::PUT,
        header: [0x00, 0xda, high, low],
        data: value.to_vec(),
        expected: Expected::Nothing,
    }
}

/// PUT DATA of a key: D1, D2, D5, or the resetting code D3 (7.2.8).
pub(crate) fn put_secret(tag: u16, value: Secret) -> SecretCommand {
    let [high, low] = tag.to_be_bytes();
    SecretCommand { name: name::PUT, header: [0x00, 0xda, high, low], data: value }
}

/// SELECT DATA of an occurrence of 7F21 (7.2.5).
pub(crate) fn select_certificate(slot: Slot) -> Command {
    let data = vec![0x60, 0x04, 0x5c, 0x02, 0x7f, 0x21];
    select_data(slot, data)
}

/// The same as YubiKeys before firmware 5.4.4 want it: with the length of the data once more in front.
pub(crate) fn select_certificate_on_old_yubikey(slot: Slot) -> Command {
    let data = vec![0x06, 0x60, 0x04, 0x5c, 0x02, 0x7f, 0x21];
    select_data(slot, data)
}

fn select_data(slot: Slot, data: Vec<u8>) -> Command {
    let header = [0x00, 0xa5, occurrence(slot), 0x04];
    Command { name: name::CERTIFICATE, header, data, expected: Expected::Nothing }
}

/// Which of the three objects 7F21 belongs to a slot (4.4.3.10): the first one to authentication.
pub(crate) fn occurrence(slot: Slot) -> u8 {
    match slot {
        Slot::Authenticate => 0,
        Slot::Decrypt => 1,
        Slot::Sign => 2,
    }
}

/// VERIFY (7.2.2). `pin` is what the card compares: after its KDF.
pub(crate) fn verify(which: PinRef, pin: Secret) -> SecretCommand {
    SecretCommand { name: name::VERIFY, header: [0x00, 0x20, 0x00, reference(which)], data: pin }
}

/// VERIFY with P1=FF: the password counts as not verified (7.2.2).
pub(crate) fn forget(which: PinRef) -> Command {
    Command {
        name: name::FORGET,
        header: [0x00, 0x20, 0xff, reference(which)],
        data: Vec::new(),
        expected: Expected::Nothing,
    }
}

/// CHANGE REFERENCE DATA (7.2.3): the old one and the new one, without anything between.
pub(crate) fn change_reference_data(which: PinRef, both: Secret) -> SecretCommand {
    // PW1 is changed under its first number whatever it was verified for.
    let which = if which == PinRef::Admin { which } else { PinRef::Sign };
    SecretCommand { name: name::CHANGE, header: [0x00, 0x24, 0x00, reference(which)], data: both }
}

/// RESET RETRY COUNTER of PW1 with the resetting code and the new PIN (7.2.4).
pub(crate) fn reset_retry_counter_with_code(both: Secret) -> SecretCommand {
    SecretCommand { name: name::UNBLOCK, header: [0x00, 0x2c, 0x00, 0x81], data: both }
}

/// RESET RETRY COUNTER of PW1 after PW3, with the new PIN (7.2.4).
pub(crate) fn reset_retry_counter(new: Secret) -> SecretCommand {
    SecretCommand { name: name::UNBLOCK, header: [0x00, 0x2c, 0x02, 0x81], data: new }
}

/// PSO: COMPUTE DIGITAL SIGNATURE (7.2.10).
pub(crate) fn compute_signature(input: &[u8], at_most: usize) -> Command {
    Command {
        name: name::SIGN,
        header: [0x00, 0x2a, 0x9e, 0x9a],
        data: input.to_vec(),
        expected: Expected::UpTo(at_most),
    }
}

/// PSO: DECIPHER (7.2.11).
pub(crate) fn decipher(input: Vec<u8>, at_most: usize) -> Command {
    Command {
        name: name::DECIPHER,
        header: [0x00, 0x2a, 0x80, 0x86],
        data: input,
        expected: Expected::UpTo(at_most),
    }
}

/// INTERNAL AUTHENTICATE (7.2.13).
pub(crate) fn internal_authenticate(input: &[u8], at_most: usize) -> Command {
    Command {
        name: name::AUTHENTICATE,
        header: [0x00, 0x88, 0x00, 0x00],
        data: input.to_vec(),
        expected: Expected::UpTo(at_most),
    }
}

/// The slot whose private key a command uses, if it uses one.
pub(crate) fn key_used(command: &Command) -> Option<Slot> {
    match command.header {
        [0x00, 0x2a, 0x9e, 0x9a] => Some(Slot::Sign),
        [0x00, 0x2a, 0x80, 0x86] => Some(Slot::Decrypt),
        [0x00, 0x88, 0x00, 0x00] => Some(Slot::Authenticate),
        _ => None,
    }
}

/// GENERATE ASYMMETRIC KEY PAIR with P1=80: a new key (7.2.14).
pub(crate) fn generate(slot: Slot, at_most: usize) -> Command {
    key_pair(name::GENERATE, 0x80, slot, at_most)
}

/// GENERATE ASYMMETRIC KEY PAIR with P1=81: the public key that is there (7.2.14).
pub(crate) fn read_public_key(slot: Slot, at_most: usize) -> Command {
    key_pair(name::READ_KEY, 0x81, slot, at_most)
}

fn key_pair(name: &'static str, what: u8, slot: Slot, at_most: usize) -> Command {
    Command {
        name,
        header: [0x00, 0x47, what, 0x00],
        data: vec![control_reference(slot), 0x00],
        expected: Expected::UpTo(at_most),
    }
}

/// PUT DATA with the odd instruction and an extended header list 4D: key import (7.2.8, 4.4.3.12).
pub(crate) fn import(header_list: Secret) -> SecretCommand {
    SecretCommand { name: name::IMPORT, header: [0x00, 0xdb, 0x3f, 0xff], data: header_list }
}

/// GENERATE ATTESTATION: not of the specification, but of Yubico's.
pub(crate) fn attest(slot: Slot) -> Command {
    let number = match slot {
        Slot::Sign => 1,
        Slot::Decrypt => 2,
        Slot::Authenticate => 3,
    };
    Command {
        name: name::ATTEST,
        header: [0x80, 0xfb, number, 0x00],
        data: Vec::new(),
        expected: Expected::Nothing,
    }
}

/// GET CHALLENGE (7.2.15).
pub(crate) fn get_challenge(octets: u8) -> Command {
    Command {
        name: name::CHALLENGE,
        header: [0x00, 0x84, 0x00, 0x00],
        data: Vec::new(),
        expected: Expected::Exactly(octets),
    }
}

/// The control reference template of a slot (4.4.3.12).
pub(crate) fn control_reference(slot: Slot) -> u8 {
    match slot {
        Slot::Sign => 0xb6,
        Slot::Decrypt => 0xb8,
        Slot::Authenticate => 0xa4,
    }
}

/// P2 of VERIFY and its like (7.2.2). The resetting code has no number of its own: it stands for PW1.
fn reference(which: PinRef) -> u8 {
    match which {
        PinRef::Sign | PinRef::ResetCode => 0x81,
        PinRef::User => 0x82,
        PinRef::Admin => 0x83,
    }
}

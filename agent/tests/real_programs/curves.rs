//! Curves that opcard lacks: brainpool, secp256k1 and the 448 ones, on a card that recites what OpenSSL and gpg computed.
//!
//! On the wire for all of them; with gpg for those that gpg 2.2 knows, which the 448 curves are not.

use openssl::bn::{BigNum, BigNumContext, BigNumRef};
use openssl::derive::Deriver;
use openssl::ec::{EcGroup, EcGroupRef, EcKey, EcPoint, EcPointRef, PointConversionForm};
use openssl::ecdsa::EcdsaSig;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey};
use openssl::sign::Signer;

use crate::world::jobs::{decrypt, is_shown_as_stock_shows_it, seal, sign};
use crate::world::packets::{session_point, signature_numbers, soft_keys};
use crate::world::scripted::{Answer, CardKey, hex, script};
use crate::world::{Card, Home, Reader, Scdaemon, Wire};

/// A Weierstrass curve by its names.
pub(super) struct Curve {
    /// libgcrypt's and gpg's.
    pub(super) name: &'static str,
    nid: Nid,
    /// Its object identifier, without tag and length.
    pub(super) oid: &'static [u8],
    /// Octets of a coordinate.
    pub(super) size: usize,
}

pub(super) const BRAINPOOL_P256: Curve = Curve {
    name: "brainpoolP256r1",
    nid: Nid::BRAINPOOL_P256R1,
    oid: b"\x2b\x24\x03\x03\x02\x08\x01\x01\x07",
    size: 32,
};
pub(super) const BRAINPOOL_P384: Curve = Curve {
    name: "brainpoolP384r1",
    nid: Nid::BRAINPOOL_P384R1,
    oid: b"\x2b\x24\x03\x03\x02\x08\x01\x01\x0b",
    size: 48,
};
pub(super) const BRAINPOOL_P512: Curve = Curve {
    name: "brainpoolP512r1",
    nid: Nid::BRAINPOOL_P512R1,
    oid: b"\x2b\x24\x03\x03\x02\x08\x01\x01\x0d",
    size: 64,
};
pub(super) const SECP256K1: Curve =
    Curve { name: "secp256k1", nid: Nid::SECP256K1, oid: b"\x2b\x81\x04\x00\x0a", size: 32 };

#[test]
fn a_brainpool_p256_card_signs_and_decrypts_on_the_wire() {
    signs_and_decrypts_on_the_wire(&BRAINPOOL_P256);
}

#[test]
fn a_brainpool_p384_card_signs_and_decrypts_on_the_wire() {
    signs_and_decrypts_on_the_wire(&BRAINPOOL_P384);
}

#[test]
fn a_brainpool_p512_card_signs_and_decrypts_on_the_wire() {
    signs_and_decrypts_on_the_wire(&BRAINPOOL_P512);
}

#[test]
fn a_secp256k1_card_signs_and_decrypts_on_the_wire() {
    signs_and_decrypts_on_the_wire(&SECP256K1);
}

#[test]
fn a_card_on_the_448_curves_signs_and_decrypts_on_the_wire() {
    let digest = [0x48; 64];
    let signing = PKey::generate_ed448().expect("OpenSSL has the curve");
    let signature = Signer::new_without_digest(&signing)
        .and_then(|mut signer| signer.sign_oneshot_to_vec(&digest))
        .expect("OpenSSL signs");
    let own = PKey::generate_x448().expect("OpenSSL has the curve");
    let other = PKey::generate_x448().expect("OpenSSL has the curve");
    let public =
        PKey::public_key_from_raw_bytes(&other.raw_public_key().expect("a key"), Id::X448).expect("a key");
    let mut deriver = Deriver::new(&own).expect("a key");
    deriver.set_peer(&public).expect("a key on the same curve");
    let on_the_wire = OnTheWire {
        sign: card_key(0x16, b"\x2b\x65\x71", signing.raw_public_key().expect("a key")),
        decrypt: card_key(0x12, b"\x2b\x65\x6f", own.raw_public_key().expect("a key")),
        names: ["Ed448", "X448"],
        digest: digest.to_vec(),
        signature,
        point: other.raw_public_key().expect("a key"),
        shared: deriver.derive_to_vec().expect("OpenSSL derives"),
        // X448 alone comes back without a mark in front.
        mark: &[],
    };
    on_the_wire.play();
}

fn signs_and_decrypts_on_the_wire(curve: &Curve) {
    let group = EcGroup::from_curve_name(curve.nid).expect("OpenSSL has the curve");
    let [signing, own, other] = [(); 3].map(|()| EcKey::generate(&group).expect("OpenSSL makes keys"));
    let octets = |point| uncompressed(&group, point);
    let digest = vec![0x5A; curve.size];
    let signature = EcdsaSig::sign(&digest, &signing).expect("OpenSSL signs");
    let half = |number: &BigNumRef| padded(&number.to_vec(), curve.size);
    let on_the_wire = OnTheWire {
        sign: card_key(0x13, curve.oid, octets(signing.public_key())),
        decrypt: card_key(0x12, curve.oid, octets(own.public_key())),
        names: [curve.name; 2],
        digest,
        signature: [half(signature.r()), half(signature.s())].concat(),
        point: octets(other.public_key()),
        shared: shared_x(&group, own.private_key(), other.public_key(), curve.size),
        // libgcrypt's mark of a lone x coordinate.
        mark: &[0x41],
    };
    on_the_wire.play();
}

/// A card, what is asked of it, and what must come back.
struct OnTheWire {
    sign: CardKey,
    decrypt: CardKey,
    /// libgcrypt's names of the two keys' curves.
    names: [&'static str; 2],
    digest: Vec<u8>,
    signature: Vec<u8>,
    point: Vec<u8>,
    shared: Vec<u8>,
    /// What stands before the shared secret on the wire.
    mark: &'static [u8],
}

impl OnTheWire {
    fn play(self) {
        let answers = [
            Answer::Signature { digest: self.digest.len(), signature: self.signature.clone() },
            Answer::Shared { point: self.point.clone(), shared: self.shared.clone() },
        ];
        let reader = Reader::start();
        let home = Home::new(&reader, Scdaemon::under_test());
        let card = insert(&reader, &home, &script(&self.sign, &self.decrypt, &answers));
        let mut wire = Wire::to_scdaemon(&home);
        for (key, name) in ["OPENPGP.1", "OPENPGP.2"].iter().zip(self.names) {
            let described = wire.data(&format!("READKEY --advanced {key}"), b"");
            let described = String::from_utf8(described).expect("a text form");
            assert!(described.contains(&format!("(curve {name})")), "{described}");
        }
        assert_eq!(wire.ask(&format!("SETDATA {}", hex(&self.digest))), "OK");
        let hash = if self.digest.len() == 32 { "sha256" } else { "sha512" };
        let hash = if self.digest.len() == 48 { "sha384" } else { hash };
        assert_eq!(wire.data(&format!("PKSIGN --hash={hash} OPENPGP.1"), b"123456\0"), self.signature);
        assert_eq!(wire.ask(&format!("SETDATA {}", hex(&self.point))), "OK");
        let shared = wire.data("PKDECRYPT OPENPGP.2", b"123456\0");
        assert_eq!(shared, [self.mark, &self.shared].concat());
        card.control("verdict");
    }
}

#[test]
fn gpg_signs_and_decrypts_with_a_brainpool_p256_card() {
    gpg_signs_and_decrypts(&BRAINPOOL_P256);
}

#[test]
fn gpg_signs_and_decrypts_with_a_brainpool_p384_card() {
    gpg_signs_and_decrypts(&BRAINPOOL_P384);
}

#[test]
fn gpg_signs_and_decrypts_with_a_brainpool_p512_card() {
    gpg_signs_and_decrypts(&BRAINPOOL_P512);
}

#[test]
fn gpg_signs_and_decrypts_with_a_secp256k1_card() {
    gpg_signs_and_decrypts(&SECP256K1);
}

/// gpg does a job with keys on disk first, which gives the card its answers. Signatures come out the same again, because
/// libgcrypt derives their nonce from digest and key, and the clock is held.
fn gpg_signs_and_decrypts(curve: &Curve) {
    let reader = Reader::start();
    let soft = Home::new(&reader, Scdaemon::under_test());
    soft.write("gpg.conf", HELD_CLOCK);
    let make = |what: &[&str]| soft.gpg(&[&["--passphrase", ""], what].concat()).ok();
    make(&["--quick-gen-key", "Carla Card <carla@example.org>", curve.name, "sign", "0"]);
    let fingerprint = soft.gpg(&["--with-colons", "--list-keys"]).line("fpr:::::::::").replace(':', "");
    make(&["--quick-add-key", &fingerprint, curve.name, "encr", "0"]);
    let keys = soft_keys(&soft);
    sign(&soft).ok();
    seal(&soft);
    let numbers = signature_numbers(&std::fs::read(soft.path("letter.sig")).expect("gpg wrote it"));
    let group = EcGroup::from_curve_name(curve.nid).expect("OpenSSL has the curve");
    let point = session_point(&std::fs::read(soft.path("letter.gpg")).expect("gpg wrote it"));
    let mut context = BigNumContext::new().expect("memory");
    let other = EcPoint::from_bytes(&group, &point, &mut context).expect("gpg's point is on the curve");
    let secret = BigNum::from_hex_str(&keys[1].secret).expect("hexadecimal");
    let answers = [
        Answer::Signature {
            digest: curve.size.min(64),
            signature: numbers.map(|number| padded(&number, curve.size)).concat(),
        },
        Answer::Shared { point, shared: shared_x(&group, &secret, &other, curve.size) },
    ];

    // Its scdaemon would stand in the way of a stock one, which wants the reader for itself.
    soft.kill_agent();
    let mut home = Home::new(&reader, Scdaemon::under_test());
    home.write("gpg.conf", HELD_CLOCK);
    let public = soft.gpg(&["--export"]).ok().stdout;
    home.gpg_reads(&["--import"], &public).ok();
    std::fs::copy(soft.path("letter.gpg"), home.path("letter.gpg")).expect("the folder is ours");
    let [signing, decrypting] = [(0x13, &keys[0]), (0x12, &keys[1])].map(|(algorithm, key)| CardKey {
        fingerprint: key.fingerprint,
        created: key.created,
        ..card_key(algorithm, curve.oid, key.point.clone())
    });
    let card = insert(&reader, &home, &script(&signing, &decrypting, &answers));
    home.gpg(&["--card-status"]).ok().shows(&format!("Key attributes ...: {0} {0} rsa2048\n", curve.name));
    is_shown_as_stock_shows_it(&mut home);
    sign(&home).ok();
    let [letter, signature] = ["letter", "letter.sig"].map(|name| home.path(name).display().to_string());
    home.gpg(&["--verify", &signature, &letter])
        .ok()
        .shows("Good signature from \"Carla Card <carla@example.org>\"");
    decrypt(&home).ok().shows("Signed and sealed.\n");
    card.control("verdict");
}

const HELD_CLOCK: &str = "faked-system-time 20260601T120000!\n";

/// Plugs in a card that recites, and waits until the scdaemon has it.
pub(super) fn insert(reader: &Reader, home: &Home, script: &str) -> Card {
    let script = home.write("card.script", script);
    let card = Card::insert(&reader.slot(), &["--script", &script.display().to_string()]);
    home.wait_for_card();
    card
}

/// A key with any fingerprint and time: nobody looks at them on the wire.
fn card_key(algorithm: u8, oid: &[u8], point: Vec<u8>) -> CardKey {
    CardKey {
        attributes: [&[algorithm], oid].concat(),
        point,
        fingerprint: [0xAB; 20],
        created: 1_700_000_000,
    }
}

fn uncompressed(group: &EcGroupRef, point: &EcPointRef) -> Vec<u8> {
    let mut context = BigNumContext::new().expect("memory");
    point.to_bytes(group, PointConversionForm::UNCOMPRESSED, &mut context).expect("a point of the curve")
}

/// The x coordinate of the point that both sides come to.
fn shared_x(group: &EcGroupRef, own: &BigNumRef, other: &EcPointRef, size: usize) -> Vec<u8> {
    let mut context = BigNumContext::new().expect("memory");
    let mut shared = EcPoint::new(group).expect("memory");
    shared.mul2(group, other, own, &mut context).expect("a point of the curve");
    uncompressed(group, &shared)[1..=size].to_vec()
}

/// The number in `size` octets.
pub(super) fn padded(number: &[u8], size: usize) -> Vec<u8> {
    [vec![0; size - number.len()].as_slice(), number].concat()
}

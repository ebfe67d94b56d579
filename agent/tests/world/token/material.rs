//! Keys and certificates as attributes of PKCS#11 objects: from files, and many new ones in little time.

use std::fs;

use cryptoki::object::{Attribute, KeyType};
use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::{BigNum, BigNumContext, BigNumRef};
use openssl::ec::{EcGroup, EcKey, PointConversionForm};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Private};
use openssl::rsa::{Rsa, RsaPrivateKeyBuilder};
use openssl::x509::extension::{BasicConstraints, KeyUsage};
use openssl::x509::{X509, X509Builder, X509Name, X509NameBuilder};

use super::repository;

/// A pair of keys, outside of any token.
pub(crate) struct Pair(pub(crate) PKey<Private>);

impl Pair {
    /// The one of `testdata/tokens/` with this name.
    pub(crate) fn of_file(kind: &str) -> Self {
        let file = repository(&format!("testdata/tokens/{kind}.pem"));
        let pem = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        Self(PKey::private_key_from_pem(&pem).expect("a key"))
    }

    /// A name for what it is.
    pub(crate) fn key_type(&self) -> KeyType {
        match self.0.id() {
            Id::RSA => KeyType::RSA,
            Id::EC => KeyType::EC,
            // SoftHSM's keys of X25519 are of this type, too.
            _ => KeyType::EC_EDWARDS,
        }
    }

    /// Whether it signs, deciphers, agrees on secrets.
    pub(crate) fn can(&self, usage: &str) -> bool {
        match self.0.id() {
            Id::RSA => usage == "sign" || usage == "decrypt",
            Id::EC => usage == "sign" || usage == "derive",
            Id::X25519 => usage == "derive",
            _ => usage == "sign",
        }
    }

    /// What both of its objects say of it.
    pub(crate) fn public(&self) -> Vec<Attribute> {
        match self.0.rsa() {
            Ok(rsa) => {
                vec![Attribute::Modulus(rsa.n().to_vec()), Attribute::PublicExponent(rsa.e().to_vec())]
            }
            Err(_) => {
                let point = self.point();
                vec![Attribute::EcParams(self.curve()), Attribute::EcPoint(octet_string(&point))]
            }
        }
    }

    /// What only the private key's object says of it.
    pub(crate) fn private(&self) -> Vec<Attribute> {
        if let Ok(rsa) = self.0.rsa() {
            return private_rsa(&rsa);
        }
        let value = match self.0.ec_key() {
            Ok(key) => key.private_key().to_vec(),
            Err(_) => self.0.raw_private_key().expect("such keys have one"),
        };
        vec![Attribute::EcParams(self.curve()), Attribute::Value(value)]
    }

    fn point(&self) -> Vec<u8> {
        let Ok(key) = self.0.ec_key() else { return self.0.raw_public_key().expect("such keys have one") };
        let mut context = BigNumContext::new().expect("memory");
        let point = key.public_key().to_bytes(key.group(), PointConversionForm::UNCOMPRESSED, &mut context);
        point.expect("a point of the curve")
    }

    /// Its curve's object identifier, in DER.
    fn curve(&self) -> Vec<u8> {
        let nid = self.0.ec_key().ok().and_then(|key| key.group().curve_name());
        match (nid, self.0.id()) {
            (Some(Nid::X9_62_PRIME256V1), _) => vec![6, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 7],
            (Some(Nid::SECP384R1), _) => vec![6, 5, 0x2B, 0x81, 4, 0, 0x22],
            (Some(Nid::SECP521R1), _) => vec![6, 5, 0x2B, 0x81, 4, 0, 0x23],
            (_, Id::ED25519) => vec![6, 3, 0x2B, 0x65, 0x70],
            (_, Id::X25519) => vec![6, 3, 0x2B, 0x65, 0x6E],
            other => panic!("no curve of the tests: {other:?}"),
        }
    }
}

fn private_rsa(rsa: &Rsa<Private>) -> Vec<Attribute> {
    let part = |part: Option<&BigNumRef>| part.expect("a whole key").to_vec();
    vec![
        Attribute::Modulus(rsa.n().to_vec()),
        Attribute::PublicExponent(rsa.e().to_vec()),
        Attribute::PrivateExponent(rsa.d().to_vec()),
        Attribute::Prime1(part(rsa.p())),
        Attribute::Prime2(part(rsa.q())),
        Attribute::Exponent1(part(rsa.dmp1())),
        Attribute::Exponent2(part(rsa.dmq1())),
        Attribute::Coefficient(part(rsa.iqmp())),
    ]
}

/// So many new pairs. RSA keys share their primes with each other, two by two: good enough for a count, and quick.
pub(crate) fn many(kind: &str, count: usize) -> Vec<Pair> {
    if kind == "rsa2048" {
        return many_rsa(count);
    }
    assert_eq!(kind, "p256");
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).expect("openssl has it");
    let pair = |_| Pair(PKey::from_ec_key(EcKey::generate(&group).expect("random octets")).expect("memory"));
    (0..count).map(pair).collect()
}

fn many_rsa(count: usize) -> Vec<Pair> {
    let exponent = BigNum::from_u32(65537).expect("memory");
    let mut primes: Vec<BigNum> = Vec::new();
    let mut pairs = Vec::new();
    while pairs.len() < count {
        let [p, q] = two_primes(&exponent);
        let new = [p, q];
        pairs.extend(new.iter().flat_map(|new| primes.iter().map(|old| rsa(old, new, &exponent))));
        primes.extend(new);
    }
    pairs.truncate(count);
    pairs
}

/// Their product with any other has 2,048 bits: both have their two highest bits set.
fn two_primes(exponent: &BigNum) -> [BigNum; 2] {
    let rsa = Rsa::generate_with_e(2048, exponent).expect("random octets");
    [rsa.p(), rsa.q()].map(|prime| prime.expect("a whole key").to_owned().expect("memory"))
}

fn rsa(p: &BigNum, q: &BigNum, e: &BigNum) -> Pair {
    let mut context = BigNumContext::new().expect("memory");
    let mut number = |with: &mut dyn FnMut(&mut BigNum, &mut BigNumContext)| {
        let mut number = BigNum::new().expect("memory");
        with(&mut number, &mut context);
        number
    };
    let one = BigNum::from_u32(1).expect("memory");
    let n = number(&mut |n, context| n.checked_mul(p, q, context).expect("memory"));
    let before_p = number(&mut |it, _| it.checked_sub(p, &one).expect("memory"));
    let before_q = number(&mut |it, _| it.checked_sub(q, &one).expect("memory"));
    let phi = number(&mut |phi, context| phi.checked_mul(&before_p, &before_q, context).expect("memory"));
    let d = number(&mut |d, context| d.mod_inverse(e, &phi, context).expect("e is prime to it"));
    let dp = number(&mut |dp, context| dp.checked_rem(&d, &before_p, context).expect("memory"));
    let dq = number(&mut |dq, context| dq.checked_rem(&d, &before_q, context).expect("memory"));
    let qi = number(&mut |qi, context| qi.mod_inverse(q, p, context).expect("both are prime"));
    let copy = |number: &BigNum| BigNumRef::to_owned(number).expect("memory");
    let key = RsaPrivateKeyBuilder::new(n, copy(e), d)
        .and_then(|key| key.set_factors(copy(p), copy(q)))
        .and_then(|key| key.set_crt_params(dp, dq, qi))
        .expect("the numbers of a key");
    Pair(PKey::from_rsa(key.build()).expect("memory"))
}

/// The authority of the tests: `/CN=Authority/O=House`.
pub(crate) struct Authority(PKey<Private>);

impl Authority {
    /// The one and only.
    pub(crate) fn open() -> Self {
        Self(Pair::of_file("authority").0)
    }

    /// Its own certificate: the same octets in every run, as all of its certificates.
    pub(crate) fn certificate(&self) -> X509 {
        let mut builder = self.begin("Authority", 1, &Pair(self.0.clone()));
        let constraints = BasicConstraints::new().critical().ca().build().expect("an extension");
        let usage = KeyUsage::new().critical().key_cert_sign().crl_sign().build().expect("an extension");
        builder.append_extension(constraints).expect("memory");
        builder.append_extension(usage).expect("memory");
        self.end(builder)
    }

    /// A certificate for a key, which tells its usage.
    pub(crate) fn certify(&self, name: &str, serial: u32, pair: &Pair) -> X509 {
        let mut builder = self.begin(name, serial, pair);
        let constraints = BasicConstraints::new().critical().build().expect("an extension");
        builder.append_extension(constraints).expect("memory");
        let mut usage = KeyUsage::new();
        usage.critical();
        if pair.can("sign") {
            usage.digital_signature();
        }
        if pair.can("decrypt") {
            usage.key_encipherment();
        }
        if pair.can("derive") {
            // Without the former, gpgsm takes it for no recipient's.
            usage.key_encipherment().key_agreement();
        }
        builder.append_extension(usage.build().expect("an extension")).expect("memory");
        self.end(builder)
    }

    fn begin(&self, name: &str, serial: u32, pair: &Pair) -> X509Builder {
        let mut builder = X509Builder::new().expect("memory");
        let serial =
            BigNum::from_u32(serial).and_then(|number| Asn1Integer::from_bn(&number)).expect("memory");
        let from = Asn1Time::from_str_x509("20200101000000Z").expect("a time");
        let until = Asn1Time::from_str_x509("20491231235959Z").expect("a time");
        builder
            .set_version(2)
            .and_then(|()| builder.set_serial_number(&serial))
            .and_then(|()| builder.set_subject_name(&named(name)))
            .and_then(|()| builder.set_issuer_name(&named("Authority")))
            .and_then(|()| builder.set_not_before(&from))
            .and_then(|()| builder.set_not_after(&until))
            .and_then(|()| builder.set_pubkey(&pair.0))
            .expect("the parts of a certificate");
        builder
    }

    fn end(&self, mut builder: X509Builder) -> X509 {
        builder.sign(&self.0, MessageDigest::sha256()).expect("an RSA key signs");
        builder.build()
    }
}

fn named(name: &str) -> X509Name {
    let mut builder = X509NameBuilder::new().expect("memory");
    builder.append_entry_by_text("O", "House").expect("memory");
    builder.append_entry_by_text("CN", name).expect("memory");
    builder.build()
}

/// What a certificate's object says of it.
pub(crate) fn certificate(certificate: &X509) -> Vec<Attribute> {
    let serial = certificate.serial_number().to_bn().expect("memory").to_vec();
    vec![
        Attribute::Value(certificate.to_der().expect("memory")),
        Attribute::Subject(certificate.subject_name().to_der().expect("memory")),
        Attribute::Issuer(certificate.issuer_name().to_der().expect("memory")),
        Attribute::SerialNumber(integer(&serial)),
    ]
}

/// A DER INTEGER of a positive number.
fn integer(octets: &[u8]) -> Vec<u8> {
    let pad = octets.first().is_none_or(|first| *first >= 0x80);
    der(2, &[if pad { &[0][..] } else { &[] }, octets].concat())
}

fn octet_string(octets: &[u8]) -> Vec<u8> {
    der(4, octets)
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).expect("points are small");
    let length = if length < 0x80 { vec![length] } else { vec![0x81, length] };
    [&[tag], &length[..], content].concat()
}

//! SPKI, and the numbers of an RSA key, as openssl has them.

use std::process::Command;

use claviger_keys::{Curve, PublicKey, RsaSecret};

use super::{run, run_with_input, text};

fn openssl(arguments: &str) -> Command {
    let mut command = Command::new("openssl");
    command.args(arguments.split(' '));
    command
}

/// The number after `label:` in `openssl pkey -text`: either hexadecimal lines with colons, or decimal in one line.
pub(super) fn number(dump: &str, label: &str) -> Vec<u8> {
    let (_, rest) = dump.split_once(&format!("{label}:")).unwrap_or_else(|| panic!("no {label} in {dump}"));
    let (first, rest) = rest.split_once('\n').unwrap();
    if let Some(decimal) = first.split_whitespace().next() {
        return decimal.parse::<u64>().unwrap().to_be_bytes().to_vec();
    }
    let digits: String = rest.lines().take_while(|line| line.starts_with(' ')).map(str::trim).collect();
    digits.split_terminator(':').map(|octet| u8::from_str_radix(octet, 16).unwrap()).collect()
}

/// What `-algorithm` and options openssl makes keys of the curve with.
fn generation(curve: Curve) -> String {
    match curve {
        Curve::Ed25519 | Curve::Ed448 | Curve::X448 => curve.libgcrypt_name().to_owned(),
        Curve::Curve25519 => "X25519".to_owned(),
        Curve::NistP256 => "EC -pkeyopt ec_paramgen_curve:prime256v1".to_owned(),
        Curve::NistP384 => "EC -pkeyopt ec_paramgen_curve:secp384r1".to_owned(),
        Curve::NistP521 => "EC -pkeyopt ec_paramgen_curve:secp521r1".to_owned(),
        other => format!("EC -pkeyopt ec_paramgen_curve:{}", other.libgcrypt_name()),
    }
}

#[test]
fn spki_of_every_curve_is_what_openssl_writes() {
    for curve in Curve::ALL {
        let secret = run(&mut openssl(&format!("genpkey -outform DER -algorithm {}", generation(curve))));
        let dump = text(run_with_input(&mut openssl("pkey -inform DER -noout -text"), &secret));
        let key = PublicKey::ecc(curve, &number(&dump, "pub")).unwrap();
        let spki = run_with_input(&mut openssl("pkey -inform DER -pubout -outform DER"), &secret);
        assert_eq!(key.spki_der(), spki, "{curve:?}");
    }
}

#[test]
fn spki_and_crt_numbers_of_rsa_are_those_of_openssl() {
    for size in [1024, 2048, 3072] {
        let arguments = format!("genpkey -outform DER -algorithm RSA -pkeyopt rsa_keygen_bits:{size}");
        let secret = run(&mut openssl(&arguments));
        let dump = text(run_with_input(&mut openssl("pkey -inform DER -noout -text"), &secret));
        let part = |label| number(&dump, label);
        let key = PublicKey::rsa(&part("modulus"), &part("publicExponent")).unwrap();
        let spki = run_with_input(&mut openssl("pkey -inform DER -pubout -outform DER"), &secret);
        assert_eq!(key.spki_der(), spki);

        let PublicKey::Rsa(public) = key else { panic!("not RSA") };
        let rsa = RsaSecret::new(public, &part("privateExponent"), &part("prime1"), &part("prime2")).unwrap();
        let crt = rsa.crt().unwrap();
        for (ours, label) in [(&crt.u, "coefficient"), (&crt.dp, "exponent1"), (&crt.dq, "exponent2")] {
            let theirs = part(label);
            let zeros = theirs.iter().take_while(|octet| **octet == 0).count();
            assert_eq!(ours.as_bytes(), &theirs[zeros..], "{label} of {size} bits");
        }
    }
}

//! A chain of three, of which the card has one certificate, the store's folder one and gpgsm's keybox one, comes out as
//! what GnuTLS takes for a server's.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use claviger::store::Store;
use claviger_keys::x509::Certificate;
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{
    BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName, SubjectKeyIdentifier,
};
use openssl::x509::{X509, X509Extension, X509Name, X509v3Context};

use crate::world::{Card, Home, Reader, Scdaemon, Seen, wait_for};

const SERVER: &str = "localhost";

/// Why a test may say `expect` to OpenSSL.
const SOUND: &str = "OpenSSL can";

#[test]
fn gnutls_takes_the_chain_of_card_folder_and_keybox() {
    let reader = Reader::start();
    let home = Home::new(&reader, Scdaemon::under_test());
    let _card = Card::insert(&reader.slot(), &[]);
    home.wait_for_card();
    let [root, middle, leaf] = authority().expect(SOUND);
    write_to_card(&home, &leaf.certificate);
    let store = Store::open(&home.path(""));
    store.add(&Certificate::new(middle.certificate.to_der().expect(SOUND))).expect("the folder is ours");
    let root_file = file(&home, "root.pem", &root.certificate.to_pem().expect(SOUND));
    let gpgsm = home.command("gpgsm").args(["--batch", "--quiet", "--import"]).arg(&root_file).status();
    assert!(gpgsm.expect("gpgsm is there").success());

    let chain = read(&home, "READCERT --chain --pem OPENPGP.3");
    let expected = [&leaf, &middle, &root].map(|one| one.certificate.to_pem().expect(SOUND));
    assert_eq!(
        fs::read_to_string(&chain).expect("it was written"),
        String::from_utf8_lossy(&expected.concat())
    );
    let verified = home.command("certtool").args(["--verify-chain", "--infile"]).arg(&chain).output();
    let verified = verified.expect("certtool is there");
    assert!(String::from_utf8_lossy(&verified.stdout).contains("Chain verification output: Verified."));

    let key = file(&home, "leaf.key", &leaf.key.private_key_to_pem_pkcs8().expect(SOUND));
    let (_server, port) = serve(&home, &chain, &key);
    Seen::of(
        home.command("gnutls-cli").arg("--x509cafile").arg(&root_file).args(["--port", &port, "localhost"]),
        b"",
    )
    .ok()
    .shows("Status: The certificate is trusted.");
}

/// A certificate and its key.
struct Made {
    certificate: X509,
    key: PKey<Private>,
}

/// Root, middle, and a leaf for a server.
fn authority() -> Result<[Made; 3], ErrorStack> {
    let root = made("Root", None)?;
    let middle = made("Middle", Some(&root))?;
    let leaf = made(SERVER, Some(&middle))?;
    Ok([root, middle, leaf])
}

fn made(name: &str, by: Option<&Made>) -> Result<Made, ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
    let mut subject = X509Name::builder()?;
    subject.append_entry_by_text("CN", name)?;
    let subject = subject.build();
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    let serial = BigNum::from_u32(4711)?.to_asn1_integer()?;
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(&subject)?;
    builder.set_issuer_name(by.map_or(&subject, |by| by.certificate.subject_name()))?;
    let (today, tomorrow) = (Asn1Time::days_from_now(0)?, Asn1Time::days_from_now(1)?);
    builder.set_not_before(&today)?;
    builder.set_not_after(&tomorrow)?;
    builder.set_pubkey(&key)?;
    let issuer = by.map(|by| &*by.certificate);
    let identifier = SubjectKeyIdentifier::new().build(&builder.x509v3_context(issuer, None))?;
    builder.append_extension(identifier)?;
    for extension in extensions(name, &builder.x509v3_context(issuer, None))? {
        builder.append_extension(extension)?;
    }
    builder.sign(by.map_or(&key, |by| &by.key), MessageDigest::sha256())?;
    Ok(Made { certificate: builder.build(), key })
}

/// What tells the server from the authorities.
fn extensions(name: &str, context: &X509v3Context<'_>) -> Result<[X509Extension; 2], ErrorStack> {
    Ok(match name {
        SERVER => [
            SubjectAlternativeName::new().dns(name).build(context)?,
            ExtendedKeyUsage::new().server_auth().build()?,
        ],
        _ => [
            BasicConstraints::new().critical().ca().build()?,
            KeyUsage::new().critical().key_cert_sign().build()?,
        ],
    })
}

fn file(home: &Home, name: &str, content: &[u8]) -> PathBuf {
    let path = home.path(name);
    fs::write(&path, content).expect("the folder is ours");
    path
}

fn write_to_card(home: &Home, certificate: &X509) {
    let data = file(home, "leaf.der", &certificate.to_der().expect(SOUND));
    let inquiry = format!("/definqfile CERTDATA {}", data.display());
    home.agent(&["SCD SERIALNO", &inquiry, "SCD WRITECERT OPENPGP.3"]).ok().shows("OK");
}

/// The data that a command of the scdaemon returns, in a file.
fn read(home: &Home, command: &str) -> PathBuf {
    let path = home.path("data");
    home.agent(&["SCD SERIALNO", &format!("/datafile {}", path.display()), &format!("SCD {command}")]).ok();
    path
}

/// A TLS server that ends with the value.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(home: &Home, chain: &Path, key: &Path) -> (Server, String) {
    let free = TcpListener::bind("localhost:0").expect("a port").local_addr().expect("it is bound").port();
    let mut command = home.command_without_deadline("gnutls-serv".as_ref());
    command.args(["--port", &free.to_string(), "--x509certfile"]).arg(chain).arg("--x509keyfile").arg(key);
    let quiet = || Stdio::null();
    let server =
        command.stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn().expect("gnutls-serv is there");
    let server = Server(server);
    wait_for("the server", || TcpStream::connect(("localhost", free)).map(drop));
    (server, free.to_string())
}

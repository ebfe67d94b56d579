//! Ways from a key of a token to an OpenPGP key, and what else gpg and p11tool say of tokens.

use crate::desk::{Desk, Learnt, OWNER};

const RECIPE: &str = "token office serial=00000000c1a51e01\nkey rsa2048 id=01 usage=sign certificate\n\
                      key p256-ecdh id=02 usage=derive certificate=2\nkey ed25519 id=03\n";

#[test]
fn gpg_shows_a_token_as_a_card_and_makes_stubs_of_all_its_keys() {
    let desk = Desk::with(RECIPE);
    let status = desk.home.gpg(&["--card-status"]).ok();
    let status = status.shows("Manufacturer .....: SoftHSM project").shows("Name of cardholder: office");
    status.shows("Key attributes ...: rsa2048 nistp256 ed25519");
    for Learnt { grip, .. } in desk.keys() {
        desk.home.agent(&[&format!("KEYINFO {grip}")]).ok().shows(&format!("S KEYINFO {grip} T "));
    }
}

#[test]
fn gpg_makes_an_openpgp_key_of_an_existing_key_of_the_token() {
    for kind in ["rsa2048", "p256", "p521", "ed25519"] {
        let desk = Desk::with(&format!("token office\nkey {kind} id=01\n"));
        // gpg 2.2 takes stubs only.
        desk.learn();
        // Each question: kind of key, which one, for how long, whether that is sure (2.2 only), whose.
        let sure = if desk.is_old() { &["y"][..] } else { &[] };
        let words = [&["14", "1", "0"], sure, &["Carla Card", "carla@example.org", "", "O"]].concat();
        desk.home.gpg_dialogue_of_a_novice(&["--full-generate-key"], &words).ok().shows("KEY_CREATED P");
        desk.signs();
    }
}

#[test]
fn gpg_makes_an_openpgp_key_and_a_subkey_of_the_token_at_one_word() {
    let desk = Desk::with(RECIPE);
    desk.learn();
    desk.home.gpg(&["--quick-gen-key", OWNER, "card", "default", "0"]).ok();
    desk.home.gpg(&["--list-keys"]).ok().shows("pub   rsa2048").shows("sub   nistp256");
    desk.signs();
    desk.decrypts();
}

/// Neither gpg knows a keygrip at `--quick-add-key` (it says so in its source); both know `card` there, and keygrips in a dialogue.
#[test]
fn gpg_adds_a_key_of_the_token_by_one_word_or_by_its_keygrip() {
    let desk = Desk::with(RECIPE);
    let keys = desk.keys();
    desk.certify(&keys[0]).ok();
    let add =
        |algorithm: &str| desk.home.gpg(&["--quick-add-key", &desk.fingerprint(), algorithm, "encr", "0"]);
    add(&format!("&{}", keys[1].grip)).fails().shows("Key generation failed: Not implemented");
    add("card").ok();
    desk.decrypts();
    desk.add(&keys[1]).ok();
    desk.home.gpg(&["--list-keys", "--with-keygrip"]).ok().shows(&format!("Keygrip = {}", keys[1].grip));
    desk.decrypts();
}

#[test]
fn gpg_finds_the_secret_key_of_a_certificate_that_is_fetched_elsewhere() {
    let desk = Desk::with(RECIPE);
    desk.certify(&desk.keys()[0]).ok();
    let public = desk.home.gpg(&["--export"]).ok().stdout;
    let other = Desk {
        home: crate::world::Home::with_tokens(&desk.hsm, crate::world::Scdaemon::Ours),
        hsm: desk.hsm,
    };
    other.home.gpg_reads(&["--import"], &public).ok();
    other.learn();
    other.home.gpg(&["--list-secret-keys"]).ok().shows("sec>").shows(OWNER);
    other.signs();
}

#[test]
fn readcert_gives_the_octets_that_p11tool_exports() {
    let desk = Desk::with(RECIPE);
    let url = |id: &str| format!("pkcs11:token=office;id=%{id};type=cert");
    let module = crate::world::token::MODULE;
    let exported =
        desk.program("p11tool", &["--provider", module, "--outder", "--export", &url("01")]).ok().stdout;
    assert!(!exported.is_empty());
    let [key, ..] = &desk.keys()[..] else { panic!("there are keys") };
    for reference in [&key.id, &key.grip, &url("01").replace('%', "%25")] {
        assert_eq!(desk.data(&format!("READCERT {reference}")), exported, "{reference}");
    }
}

#[test]
fn listcerts_tells_of_each_certificate_and_its_reference_reads_it() {
    let desk = Desk::with(&format!("{RECIPE}certificate authority id=70\n"));
    let module = crate::world::token::MODULE;
    let exported =
        desk.program("p11tool", &["--provider", module, "--list-all-certs", "--only-urls"]).ok().text();
    let exported = exported.lines().filter(|line| line.starts_with("pkcs11:")).count();
    let listed = desk.home.agent(&["SCD LISTCERTS"]).ok().text();
    let listed: Vec<_> = listed.lines().filter_map(|line| line.strip_prefix("S CERTIFICATE ")).collect();
    assert_eq!((listed.len(), exported), (4, 4), "{listed:#?}");
    let mut all: Vec<_> = listed
        .iter()
        .map(|line| desk.data(&format!("READCERT {}", line.split(' ').next().expect("a reference"))))
        .collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 4, "no two references give the same certificate");
}

#[test]
fn gpgsm_verifies_a_chain_whose_authority_is_on_the_token() {
    let desk = Desk::with(&format!("{RECIPE}certificate authority id=70\n"));
    desk.gpgsm(&["--learn-card"]).ok();
    desk.gpgsm(&["--list-keys"]).ok().shows("CN=Authority");
    desk.learn_certificates();
    desk.signs_with_certificate("rsa2048");
}

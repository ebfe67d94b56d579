//! Makes tokens, in a process of its own: SoftHSM serves one directory in the life of a process. The process is this very
//! program.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fs, thread};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::object::{Attribute, CertificateType, ObjectClass};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use openssl::x509::X509;

use super::material::{Authority, Pair, certificate, many};
use super::recipe::{Key, Object, Recipe, Seen, parse};
use super::{MODULE, SO_PIN, repository};

/// Names the directory, and says that the program is a maker.
const ASKED: &str = "CLAVIGER_TEST_TOKENS";

/// Makes the tokens of a recipe in `dir`, where `softhsm2.conf` is. Their serial numbers are the recipe's.
pub(crate) fn make(dir: &Path, text: &str) {
    let name = concat!(module_path!(), "::makes_tokens").split_once("::").expect("a test's name").1;
    let mut maker = Command::new(std::env::current_exe().expect("we run"))
        .args(["--exact", name, "--nocapture", "--ignored"])
        .env(ASKED, dir)
        .env("SOFTHSM2_CONF", dir.join("softhsm2.conf"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("we run");
    let mut stdin = maker.stdin.take().expect("stdin is a pipe");
    let text = text.to_owned();
    thread::spawn(move || std::io::Write::write_all(&mut stdin, text.as_bytes()));
    assert!(maker.wait().expect("the child is ours").success(), "no tokens in {}", dir.display());
}

#[test]
#[ignore = "a part of other tests: see `make`"]
fn makes_tokens() {
    assert!(work_if_asked());
}

/// Does what [`make`] asked for, if this is such a process. A program without tests calls it first.
pub(crate) fn work_if_asked() -> bool {
    let Some(dir) = std::env::var_os(ASKED).map(PathBuf::from) else { return false };
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).expect("a recipe");
    let module = Pkcs11::new(MODULE).expect("`make check` installs SoftHSM");
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).expect("SoftHSM starts");
    let recipes = parse(&text);
    let numbers: Vec<_> = recipes.iter().map(|recipe| token(&module, recipe)).collect();
    module.finalize().expect("SoftHSM ends");
    for (recipe, number) in recipes.iter().zip(numbers) {
        if let Some(wanted) = &recipe.serial {
            make_the_same_in_every_run(&dir.join("tokens"), &number, wanted);
        }
    }
    true
}

/// Makes one, and gives the serial number that SoftHSM chose.
fn token(module: &Pkcs11, recipe: &Recipe) -> String {
    let slots = module.get_all_slots().expect("slots");
    let new = |slot: &&Slot| !module.get_token_info(**slot).is_ok_and(|token| token.token_initialized());
    let slot = *slots.iter().find(new).expect("SoftHSM always has a free slot");
    let pin = |pin: &str| AuthPin::new(pin.into());
    module.init_token(slot, &pin(SO_PIN), &recipe.label).expect("a new token");
    let serial = module.get_token_info(slot).expect("a token").serial_number().to_owned();
    let session = module.open_rw_session(slot).expect("a session");
    session.login(UserType::So, Some(&pin(SO_PIN))).expect("that is its PIN");
    session.init_pin(&pin(&recipe.pin)).expect("SoftHSM takes such PINs");
    session.logout().expect("it was logged in");
    session.login(UserType::User, Some(&pin(&recipe.pin))).expect("that is its PIN");
    let writer = Writer { session, authority: Authority::open() };
    recipe.objects.iter().for_each(|object| writer.write(object));
    serial
}

struct Writer {
    session: Session,
    authority: Authority,
}

impl Writer {
    fn write(&self, object: &Object) {
        match object {
            Object::Key(key) => self.pair(key, &Pair::of_file(&key.kind)),
            Object::Certificate { name, id } => self.certificate(&self.known(name), id, name),
            Object::Many { kind, count } => {
                for (number, pair) in (1..=*count).zip(many(kind, usize::from(*count))) {
                    self.pair(&one_of_many(number), &pair);
                }
            }
        }
    }

    fn known(&self, name: &str) -> X509 {
        if name == "authority" {
            return self.authority.certificate();
        }
        let file = repository(&format!("testdata/certificates/{name}.pem"));
        X509::from_pem(&fs::read(file).expect("it is there")).expect("a certificate")
    }

    fn pair(&self, key: &Key, pair: &Pair) {
        if key.public != Seen::None {
            self.public(key, pair);
        }
        self.private(key, pair);
        let number = key.id.iter().fold(0, |number, octet| number << 8 | u32::from(*octet));
        for count in 0..key.certificates {
            let made = self.authority.certify(&key.kind, number << 8 | u32::from(count), pair);
            self.certificate(&made, &key.id, &key.kind);
        }
    }

    fn public(&self, key: &Key, pair: &Pair) {
        let may = |usage| pair.can(usage) && key.may(usage);
        self.create(&[
            head(ObjectClass::PUBLIC_KEY, &key.id, &key.kind, key.public == Seen::Private),
            vec![
                Attribute::KeyType(pair.key_type()),
                Attribute::Verify(may("sign")),
                Attribute::Encrypt(may("decrypt")),
                Attribute::Wrap(may("decrypt")),
            ],
            pair.public(),
        ]);
    }

    fn private(&self, key: &Key, pair: &Pair) {
        let may = |usage| pair.can(usage) && key.may(usage);
        self.create(&[
            head(ObjectClass::PRIVATE_KEY, &key.id, &key.kind, key.private == Seen::Private),
            vec![
                Attribute::KeyType(pair.key_type()),
                Attribute::Sensitive(true),
                Attribute::Extractable(false),
                Attribute::AlwaysAuthenticate(key.always),
                Attribute::Sign(may("sign")),
                Attribute::Decrypt(may("decrypt")),
                Attribute::Unwrap(may("decrypt")),
                Attribute::Derive(may("derive")),
            ],
            pair.private(),
        ]);
    }

    fn certificate(&self, made: &X509, id: &[u8], label: &str) {
        self.create(&[
            head(ObjectClass::CERTIFICATE, id, label, false),
            vec![Attribute::CertificateType(CertificateType::X_509)],
            certificate(made),
        ]);
    }

    fn create(&self, attributes: &[Vec<Attribute>]) {
        self.session.create_object(&attributes.concat()).unwrap_or_else(|error| panic!("{error}"));
    }
}

fn head(class: ObjectClass, id: &[u8], label: &str, private: bool) -> Vec<Attribute> {
    vec![
        Attribute::Class(class),
        Attribute::Token(true),
        Attribute::Private(private),
        Attribute::Id(id.to_vec()),
        Attribute::Label(label.as_bytes().to_vec()),
    ]
}

fn one_of_many(number: u16) -> Key {
    Key {
        kind: format!("number {number}"),
        id: number.to_be_bytes().to_vec(),
        usage: None,
        public: Seen::Public,
        private: Seen::Private,
        always: false,
        certificates: 1,
    }
}

/// SoftHSM draws serial numbers and the names of files by lot, and lists objects by the latter. Others are given to a token
/// here.
fn make_the_same_in_every_run(tokens: &Path, number: &str, wanted: &str) {
    for token in files(tokens) {
        let file = token.join("token.object");
        let mut octets = fs::read(&file).expect("every token has one");
        if let Some(at) = octets.windows(number.len()).position(|part| part == number.as_bytes()) {
            octets[at..at + number.len()].copy_from_slice(wanted.as_bytes());
            fs::write(&file, octets).expect("the folder is ours");
            return name_objects_by_age(&token);
        }
    }
    panic!("no token has the number {number}");
}

fn name_objects_by_age(token: &Path) {
    let mut objects = files(token);
    objects.retain(|file| {
        file.extension().is_some_and(|found| found == "object") && !file.ends_with("token.object")
    });
    objects
        .sort_by_key(|file| fs::metadata(file).and_then(|data| data.modified()).expect("the folder is ours"));
    for (number, object) in objects.iter().enumerate() {
        for ending in ["object", "lock"] {
            let name = format!("00000000-0000-0000-0000-{number:012}.{ending}");
            fs::rename(object.with_extension(ending), token.join(name)).expect("the folder is ours");
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("SoftHSM made it");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

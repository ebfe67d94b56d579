//! Where a GnuPG home has its public keys.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// How much of `common.conf` is read.
const MAX_CONF: u64 = 64 << 10;

/// The stores of a home, the one that gpg uses first.
pub(super) fn stores(home: &Path) -> Vec<PathBuf> {
    let mut stores = ["pubring.kbx", "pubring.gpg", "public-keys.d/pubring.db"];
    if uses_keyboxd(&home.join("common.conf")) {
        stores.rotate_right(1);
    }
    stores.map(|name| home.join(name)).to_vec()
}

fn uses_keyboxd(conf: &Path) -> bool {
    let mut text = String::new();
    conf.is_file()
        && File::open(conf).and_then(|file| file.take(MAX_CONF).read_to_string(&mut text)).is_ok()
        && text.lines().any(|line| line.trim() == "use-keyboxd")
}

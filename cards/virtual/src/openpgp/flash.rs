//! The card's memory: a littlefs file system in RAM or in a file of a state directory.
//!
//! Writes to a file reach the kernel before the card answers, and littlefs survives a stop at any point, so a card that
//! is killed keeps what it had acknowledged. One process at a time may hold a state directory.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use littlefs2::{
    consts::{U8, U512},
    driver::Storage,
    fs::Filesystem,
    io::{Error, Result},
};

/// Name of the memory image inside a state directory.
const IMAGE: &str = "card.img";

/// The unit of erasing.
const BLOCK: usize = 512;

/// Blocks of a card: 256 KiB, as much as three RSA-4096 keys, three certificates and all texts together do not fill.
const BLOCKS: usize = 512;

const SIZE: usize = BLOCK * BLOCKS;

/// What an erased octet reads as.
const ERASED: u8 = 0xFF;

/// Why a state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FlashError {
    /// The directory or the image in it cannot be created, opened or read.
    #[error("{path}: {cause}; name a directory that can be written with --state")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Another process has it.
    #[error("{0} is in use by another virtual card; stop that one or name another --state directory")]
    InUse(PathBuf),
    /// The image is not one of ours.
    #[error("{0} is not a card's memory; move it away and a fresh card is made in its place")]
    Foreign(PathBuf),
}

/// A piece of flash memory.
#[derive(Debug)]
pub struct Flash(Backing);

#[derive(Debug)]
enum Backing {
    Ram(Vec<u8>),
    File(File),
}

impl Flash {
    /// Fresh memory that is forgotten at the end.
    pub fn ram() -> Result<Self> {
        let mut flash = Self(Backing::Ram(vec![ERASED; SIZE]));
        Filesystem::format(&mut flash)?;
        Ok(flash)
    }

    /// The memory kept in `directory`; made and formatted if there is none.
    ///
    /// # Errors
    /// See [`FlashError`].
    pub fn directory(directory: &Path) -> std::result::Result<Self, FlashError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            |cause| FlashError::Io { path, cause }
        };
        fs::create_dir_all(directory).map_err(at(directory))?;
        let path = directory.join(IMAGE);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(at(&path))?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => FlashError::InUse(directory.to_owned()),
            TryLockError::Error(cause) => at(&path)(cause),
        })?;
        let length = file.metadata().map_err(at(&path))?.len();
        let mut flash = Self(Backing::File(file));
        if length == 0 {
            flash.erase_all().and_then(|()| Filesystem::format(&mut flash)).map_err(|_| FlashError::Io {
                path: path.clone(),
                cause: io::Error::other("the image could not be written"),
            })?;
        } else if length != SIZE as u64 || !Filesystem::is_mountable(&mut flash) {
            return Err(FlashError::Foreign(path));
        }
        Ok(flash)
    }

    fn erase_all(&mut self) -> Result<()> {
        self.erase(0, SIZE).map(|_| ())
    }

    fn write_at(&mut self, offset: usize, data: &[u8]) -> Result<()> {
        match &mut self.0 {
            Backing::Ram(memory) => range(memory, offset, data.len())?.copy_from_slice(data),
            Backing::File(file) => file.write_all_at(data, offset as u64).map_err(|_| Error::IO)?,
        }
        Ok(())
    }
}

impl Storage for Flash {
    const READ_SIZE: usize = 16;
    const WRITE_SIZE: usize = 16;
    const BLOCK_SIZE: usize = BLOCK;
    const BLOCK_COUNT: usize = BLOCKS;

    type CACHE_SIZE = U512;
    type LOOKAHEAD_SIZE = U8;

    fn read(&mut self, offset: usize, buffer: &mut [u8]) -> Result<usize> {
        match &mut self.0 {
            Backing::Ram(memory) => buffer.copy_from_slice(range(memory, offset, buffer.len())?),
            Backing::File(file) => file.read_exact_at(buffer, offset as u64).map_err(|_| Error::IO)?,
        }
        Ok(buffer.len())
    }

    fn write(&mut self, offset: usize, data: &[u8]) -> Result<usize> {
        self.write_at(offset, data)?;
        Ok(data.len())
    }

    fn erase(&mut self, offset: usize, length: usize) -> Result<usize> {
        self.write_at(offset, &vec![ERASED; length])?;
        Ok(length)
    }
}

fn range(memory: &mut [u8], offset: usize, length: usize) -> Result<&mut [u8]> {
    let end = offset.checked_add(length).ok_or(Error::INVALID)?;
    memory.get_mut(offset..end).ok_or(Error::INVALID)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_keeps_what_was_written() {
        let home = tempfile::tempdir().unwrap();
        let path = littlefs2::path!("greeting");
        let mut flash = Flash::directory(home.path()).unwrap();
        Filesystem::mount_and_then(&mut flash, |fs| fs.write(path, b"salve")).unwrap();
        drop(flash);
        let mut flash = Flash::directory(home.path()).unwrap();
        let kept = Filesystem::mount_and_then(&mut flash, |fs| fs.read::<16>(path)).unwrap();
        assert_eq!(kept.as_slice(), b"salve");
    }

    #[test]
    fn a_directory_serves_one_card_at_a_time() {
        let home = tempfile::tempdir().unwrap();
        let _first = Flash::directory(home.path()).unwrap();
        assert!(matches!(Flash::directory(home.path()), Err(FlashError::InUse(_))));
    }

    #[test]
    fn a_file_of_another_kind_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let image = home.path().join(IMAGE);
        fs::write(&image, b"a letter").unwrap();
        assert!(matches!(Flash::directory(home.path()), Err(FlashError::Foreign(_))));
        assert_eq!(fs::read(&image).unwrap(), b"a letter");
    }

    #[test]
    fn addresses_beyond_the_memory_are_refused() {
        let mut flash = Flash::ram().unwrap();
        assert!(flash.read(SIZE, &mut [0; 16]).is_err());
        assert!(flash.write(SIZE - 8, &[0; 16]).is_err());
    }
}

//! What stands between a guest's connection and Postgres, so that no answer takes more memory than there is for it.
//!
//! sqlx reads a message whole before anybody sees its size, and lets nobody in between. So a guest's connection is
//! made to a socket of this host's own, from which bytes are passed on to Postgres and back. The socket lies where
//! only the host's user can enter, takes one connection, and is gone once that is made. What is passed is plain: with
//! TLS in sqlx it could not be read here, and no connection would come about.

use std::{
    env,
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, split},
    net::{TcpStream, UnixListener, UnixStream},
};
use uuid::Uuid;

use crate::guest_statement::MAX_BYTES;

/// Bytes of one answer: all that comes until Postgres is ready for the next statement. A result at its bounds fits,
/// with the lengths of its values.
const MAX_ANSWER: usize = MAX_BYTES + (2 << 20);
/// Bytes passed on at a time.
const CHUNK: usize = 16 << 10;
/// What Postgres ends an answer with.
const READY_FOR_QUERY: u8 = b'Z';

/// A connection whose answers are bounded. A longer one ends it, with a fatal error in place of the rest.
pub(crate) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let (host, port) = (options.get_host(), options.get_port());
    let directory = options.get_socket().map(PathBuf::as_path);
    let directory = directory.or_else(|| host.starts_with('/').then(|| Path::new(host)));
    if let Some(directory) = directory {
        connect_over(UnixStream::connect(socket_in(directory, port)).await?, options).await
    } else {
        let postgres = TcpStream::connect((host, port)).await?;
        postgres.set_nodelay(true)?;
        connect_over(postgres, options).await
    }
}

async fn connect_over(
    postgres: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    options: &PgConnectOptions,
) -> Result<PgConnection, sqlx::Error> {
    let door = Door::open(options.get_port())?;
    let options = options.clone().socket(&door.directory);
    let accept = async {
        let (host, _) = door.listener.accept().await?;
        tokio::spawn(pass(host, postgres));
        Ok(())
    };
    let (connection, ()) = tokio::try_join!(PgConnection::connect_with(&options), accept)?;
    Ok(connection)
}

fn socket_in(directory: &Path, port: u16) -> PathBuf {
    directory.join(format!(".s.PGSQL.{port}"))
}

/// The socket, in a directory that goes with it.
struct Door {
    listener: UnixListener,
    directory: PathBuf,
}

impl Door {
    fn open(port: u16) -> io::Result<Self> {
        // Short, for a socket's path has 100 bytes or so; and it must not exist, so that nobody else made it.
        let name = format!("wasaga-{:016x}", Uuid::new_v4().as_u64_pair().0);
        let directory = env::temp_dir().join(name);
        let open = || {
            DirBuilder::new().mode(0o700).create(&directory)?;
            UnixListener::bind(socket_in(&directory, port)).inspect_err(|_| remove(&directory))
        };
        match open() {
            Ok(listener) => Ok(Self { listener, directory }),
            Err(error) => Err(io::Error::new(
                error.kind(),
                format!(
                    "no socket for guests' SQL in {}: {error}: \
                     set TMPDIR to a directory that can be written, with a short name",
                    directory.display(),
                ),
            )),
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        remove(&self.directory);
    }
}

fn remove(directory: &Path) {
    if let Err(error) = fs::remove_dir_all(directory) {
        tracing::warn!(directory = %directory.display(), %error, "a socket's directory is left");
    }
}

/// Passes bytes on until either end closes, and closes the other.
async fn pass(host: UnixStream, postgres: impl AsyncRead + AsyncWrite) {
    let (mut from_host, to_host) = split(host);
    let (from_postgres, mut to_postgres) = split(postgres);
    // How it ended is seen by whoever uses the connection.
    tokio::select! {
        _ = copy(&mut from_host, &mut to_postgres) => {}
        _ = pass_answers(from_postgres, to_host) => {}
    }
}

async fn pass_answers(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let mut bounds = Bounds { left: MAX_ANSWER, message: 0 };
    let mut buffer = vec![0; CHUNK];
    let mut held = 0;
    loop {
        let read = from.read(&mut buffer[held..]).await?;
        if read == 0 {
            return Ok(());
        }
        let filled = held + read;
        let (passed, is_too_long) = bounds.pass(&buffer[..filled]);
        to.write_all(&buffer[..passed]).await?;
        if is_too_long {
            return to.write_all(&too_long()).await;
        }
        buffer.copy_within(passed..filled, 0);
        held = filled - passed;
    }
}

/// How much may pass.
struct Bounds {
    /// Bytes that the answer may still have.
    left: usize,
    /// Bytes of the present message that are still to come.
    message: usize,
}

impl Bounds {
    /// How many of these bytes may pass, and whether what follows them is too long. An incomplete header at the end is
    /// held back.
    fn pass(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut at = 0;
        loop {
            let part = self.message.min(bytes.len() - at);
            self.message -= part;
            at += part;
            // A message's kind, and its length without the kind.
            let Some([kind, length @ ..]) = bytes[at..].first_chunk::<5>() else {
                return (at, false);
            };
            let length = 1 + u32::from_be_bytes(*length) as usize;
            if length > self.left {
                return (at, true);
            }
            self.left = if *kind == READY_FOR_QUERY { MAX_ANSWER } else { self.left - length };
            self.message = length;
        }
    }
}

/// Postgres's message for an error that ends the connection.
fn too_long() -> Vec<u8> {
    let what = format!(
        "the answer (rows, notices and errors together) has more than {MAX_ANSWER} bytes: \
         select less, or in parts"
    );
    let fields = format!("SFATAL\0VFATAL\0C54000\0M{what}\0\0");
    let length = (4 + fields.len()) as u32;
    [&b"E"[..], &length.to_be_bytes(), fields.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: usize) -> Vec<u8> {
        [&[kind][..], &(4 + body as u32).to_be_bytes(), &vec![b'x'; body]].concat()
    }

    /// What passes of these bytes when they come in pieces.
    async fn passed(bytes: &[u8], piece: usize) -> Vec<u8> {
        let (from, mut postgres) = tokio::io::duplex(piece);
        let sent = async {
            // Fails where the rest is not taken.
            let _ = postgres.write_all(bytes).await;
            drop(postgres);
        };
        let mut to = Vec::new();
        let (ended, ()) = tokio::join!(pass_answers(from, &mut to), sent);
        ended.unwrap();
        to
    }

    #[tokio::test]
    async fn what_is_short_enough_passes_as_it_is() {
        let half = message(b'D', MAX_ANSWER / 2);
        let small = [message(b'D', 0), message(b'D', 40_000), message(b'Z', 1)].concat();
        for piece in [1, 4, 5, 7, CHUNK, 1 << 20] {
            assert!(passed(&small, piece).await == small, "in pieces of {piece}");
        }
        let answers = [&half[..], &message(b'Z', 1), &half, &message(b'Z', 1)].concat();
        assert!(passed(&answers, CHUNK).await == answers);
    }

    #[tokio::test]
    async fn an_answer_is_cut_before_the_message_that_is_too_much() {
        let half = message(b'D', MAX_ANSWER / 2);
        let cut = [half.clone(), too_long()].concat();
        assert!(passed(&[&half[..], &half].concat(), CHUNK).await == cut);
        assert_eq!(passed(&message(b'N', MAX_ANSWER), CHUNK).await, too_long());
        assert_eq!(passed(&[b'E', 255, 255, 255, 255], 3).await, too_long());
    }

    #[tokio::test]
    async fn who_does_not_read_gets_nothing_piled_up() {
        let (from, mut postgres) = tokio::io::duplex(1024);
        let (_host, to) = tokio::io::duplex(1024);
        let rows = message(b'D', 995).repeat(1000);
        let mut taken = 0;
        let send = async {
            while taken < rows.len() {
                taken += postgres.write(&rows[taken..]).await.unwrap();
            }
        };
        let settled = async {
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            () = send => {}
            _ = pass_answers(from, to) => panic!("it ended"),
            () = settled => {}
        }
        assert!((1024..=CHUNK + 2 * 1024).contains(&taken), "{taken} bytes");
    }
}

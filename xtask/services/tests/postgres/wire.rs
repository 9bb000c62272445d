//! As much of Postgres's protocol as one statement takes: the packaged archive has no psql.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Runs `sql` and returns the first column of its last row, as text.
pub fn ask(port: u16, sql: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut startup = 0x0003_0000_i32.to_be_bytes().to_vec();
    startup.extend_from_slice(b"user\0wasaga\0database\0postgres\0\0");
    send(&mut stream, None, &startup)?;
    await_ready(&mut stream)?;
    send(&mut stream, Some(b'Q'), format!("{sql}\0").as_bytes())?;
    await_ready(&mut stream)
}

fn send(stream: &mut TcpStream, kind: Option<u8>, body: &[u8]) -> io::Result<()> {
    let length = (body.len() as i32 + 4).to_be_bytes();
    let message: Vec<u8> = kind.into_iter().chain(length).chain(body.iter().copied()).collect();
    stream.write_all(&message)
}

fn await_ready(stream: &mut TcpStream) -> io::Result<String> {
    let mut answer = String::new();
    loop {
        let mut head = [0; 5];
        stream.read_exact(&mut head)?;
        let length = i32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let mut body = vec![0; length as usize - 4];
        stream.read_exact(&mut body)?;
        match head[0] {
            b'Z' => return Ok(answer),
            b'E' => {
                return Err(io::Error::other(String::from_utf8_lossy(&body).into_owned()));
            }
            // A row: the number of columns, then the first one's length and text.
            b'D' => answer = String::from_utf8_lossy(first_column(&body)).into_owned(),
            _ => {}
        }
    }
}

fn first_column(row: &[u8]) -> &[u8] {
    let length =
        row.get(2..6).and_then(|bytes| bytes.try_into().ok()).map_or(0, i32::from_be_bytes);
    row.get(6..6 + length.max(0) as usize).unwrap_or_default()
}

//! How RocksDB is asked to behave: sync what is acknowledged, refuse what is damaged, take a bounded part of the machine.

use rocksdb::{BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, DBRecoveryMode, LogLevel, Options, WriteOptions};

use super::family::{ALL, Use};

/// Blocks of all families that are kept decompressed in memory, in bytes.
const BLOCK_CACHE_BYTES: usize = 64 << 20;
/// What all families together keep unflushed in memory, in bytes.
const WRITE_BUFFERS_BYTES: usize = 64 << 20;
/// What one family keeps unflushed in memory, in bytes.
const WRITE_BUFFER_BYTES: usize = 8 << 20;
/// By how much a write buffer grows, in bytes: most families are small.
const ARENA_BLOCK_BYTES: usize = 64 << 10;
/// The write-ahead log, in bytes, before the families that hold it back are flushed.
const WAL_BYTES: u64 = 64 << 20;
/// Files held open.
const OPEN_FILES: i32 = 512;
/// RocksDB's own log: bytes of a file, and how many are kept.
const INFO_LOG_BYTES: usize = 1 << 20;
const INFO_LOG_FILES: usize = 4;
/// Bits of Bloom filter for each key.
const BLOOM_BITS: f64 = 10.0;

/// Of the whole database.
///
/// Recovery tolerates a torn end of the write-ahead log and nothing else. A torn end is a commit that nobody was told of: its fsync had
/// not returned. Absolute consistency would refuse to start after every power cut in the middle of a write; recovery to a point in
/// time, which is the default, would take damage in the middle for the end and silently drop acknowledged commits behind it.
/// That a log file is missing altogether is told by the manifest, which tracks them.
pub(super) fn database() -> Options {
    let mut options = Options::default();
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_paranoid_checks(true);
    options.set_max_total_wal_size(WAL_BYTES);
    options.set_db_write_buffer_size(WRITE_BUFFERS_BYTES);
    options.set_max_open_files(OPEN_FILES);
    options.set_max_log_file_size(INFO_LOG_BYTES);
    options.set_keep_log_file_num(INFO_LOG_FILES);
    options.set_log_level(LogLevel::Warn);
    options
}

/// Of each family.
pub(super) fn families() -> Vec<ColumnFamilyDescriptor> {
    let cache = Cache::new_lru_cache(BLOCK_CACHE_BYTES);
    ALL.iter().map(|(name, usage)| ColumnFamilyDescriptor::new(*name, family(*usage, &cache))).collect()
}

fn family(usage: Use, cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    if usage == Use::Points {
        blocks.set_bloom_filter(BLOOM_BITS, false);
    }
    let mut options = Options::default();
    options.set_block_based_table_factory(&blocks);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_arena_block_size(ARENA_BLOCK_BYTES);
    options
}

/// A write that returns once it is on disk.
pub(super) fn synced() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}

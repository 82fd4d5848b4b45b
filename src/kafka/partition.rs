//! Which partition a key belongs to, as Kafka's own Java client says it.
//!
//! A key is a command area, a partition is a shard: so every producer, in whatever language, must put an area into the
//! same partition as we do. What the Java client does by default (murmur2 of the key's bytes, without its sign, modulo
//! the number of partitions) is what most others can be set to; librdkafka calls it `murmur2_random`, and takes CRC32
//! where nobody says so. We name the partition with every record, and let no library choose.
//!
//! Source: `org.apache.kafka.common.utils.Utils.murmur2`, and `BuiltInPartitioner.partitionForKey`.

/// The partition of `key` among `partitions`.
///
/// # Panics
/// When there are no partitions.
#[must_use]
pub fn partition_of(key: &[u8], partitions: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % partitions
}

/// The 32-bit hash by which Kafka spreads keys. Its seed and its constants are part of Kafka's contract with its users.
#[must_use]
pub fn murmur2(key: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let mix = |k: u32| {
        let k = k.wrapping_mul(M);
        (k ^ (k >> 24)).wrapping_mul(M)
    };
    // The length of a key fits: Kafka's own is an i32.
    #[expect(clippy::cast_possible_truncation, reason = "as Java does it")]
    let start = SEED ^ key.len() as u32;
    let (words, rest) = key.as_chunks();
    let mut hash = words.iter().fold(start, |hash, word| hash.wrapping_mul(M) ^ mix(u32::from_le_bytes(*word)));
    if !rest.is_empty() {
        let rest = rest.iter().rev().fold(0, |rest, byte| rest << 8 | u32::from(*byte));
        hash = (hash ^ rest).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn hash_is_that_of_the_java_client() {
        let known: [(&[u8], i32); 6] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            (b"abc", 479_470_107),
        ];
        for (key, hash) in known {
            assert_eq!(murmur2(key).cast_signed(), hash, "{}", String::from_utf8_lossy(key));
        }
    }

    #[test]
    fn every_partition_is_one_of_them() {
        for partitions in [1, 3, 16, 17, 1_000] {
            for area in 0..10_000 {
                assert!(partition_of(area.to_string().as_bytes(), partitions) < partitions);
            }
        }
        assert_eq!(partition_of(b"", 16), partition_of(b"", 16), "an empty key has a place too");
    }
}

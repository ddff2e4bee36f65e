/**
 * Takes debug information and symbol tables off a 64-bit little-endian ELF file, on any host and for any processor
 * (`strip` only knows its own). The loader works from the program headers alone; section headers, and what lies
 * behind the last loaded byte, are for debuggers. For Node that is 18 of 126 MB.
 */

const PROGRAM_HEADER_OFFSET = 0x20;
const SECTION_HEADER_OFFSET = 0x28;
const PROGRAM_HEADER_SIZE = 0x36;
const PROGRAM_HEADER_COUNT = 0x38;
const SECTION_HEADER_COUNT = 0x3c;
const SECTION_NAMES_INDEX = 0x3e;

/** Returns a shorter copy, or `file` itself where it is not such an ELF file. */
export function withoutDebugSections(file: Buffer): Buffer {
  const is64BitLittleEndian =
    file.length >= 64 && file.readUInt32BE(0) === 0x7f454c46 && file.readUInt16BE(4) === 0x0201;
  if (!is64BitLittleEndian) return file;

  const headers = Number(file.readBigUInt64LE(PROGRAM_HEADER_OFFSET));
  const size = file.readUInt16LE(PROGRAM_HEADER_SIZE);
  const count = file.readUInt16LE(PROGRAM_HEADER_COUNT);
  let end = headers + size * count;
  for (let index = 0; index < count; index++) {
    const header = headers + index * size;
    const fileOffset = Number(file.readBigUInt64LE(header + 8));
    const fileSize = Number(file.readBigUInt64LE(header + 32));
    end = Math.max(end, fileOffset + fileSize);
  }
  if (end >= file.length) return file;

  const stripped = Buffer.from(file.subarray(0, end));
  stripped.writeBigUInt64LE(0n, SECTION_HEADER_OFFSET);
  stripped.writeUInt16LE(0, SECTION_HEADER_COUNT);
  stripped.writeUInt16LE(0, SECTION_NAMES_INDEX);
  return stripped;
}

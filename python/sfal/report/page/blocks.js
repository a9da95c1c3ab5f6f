// Blocks of the page: base64, zlib, shuffled bytes; see sfal/report/blocks.py.
import { fetchBlock } from "./served.js";

const ARRAYS = {
  u8: Uint8Array,
  u16: Uint16Array,
  u32: Uint32Array,
  f32: Float32Array,
  f64: Float64Array,
};

const decoded = new Map();

function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i += 1) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

async function inflated(name) {
  const own = document.getElementById(`block-${name}`);
  const packed = fromBase64(own ? own.textContent : await fetchBlock(name));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function unshuffled(bytes, size) {
  if (size === 1) return bytes;
  const n = bytes.length / size;
  const plain = new Uint8Array(bytes.length);
  for (let plane = 0; plane < size; plane += 1) {
    const from = plane * n;
    for (let i = 0; i < n; i += 1) plain[i * size + plane] = bytes[from + i];
  }
  return plain;
}

export async function readIndex() {
  return JSON.parse(new TextDecoder().decode(await inflated("index")));
}

async function decode(spec) {
  const bytes = await inflated(spec.block);
  const kind = ARRAYS[spec.type];
  const values = kind
    ? new kind(unshuffled(bytes, kind.BYTES_PER_ELEMENT).buffer)
    : JSON.parse(new TextDecoder().decode(bytes));
  if (values.length !== spec.length) throw new Error(`block ${spec.block} is damaged`);
  return values;
}

// Equal contents of different types share a block.
export function readBlock(spec) {
  const key = `${spec.block} ${spec.type}`;
  if (!decoded.has(key)) decoded.set(key, decode(spec));
  return decoded.get(key);
}

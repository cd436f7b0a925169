// Decoding of compressed arrays in base64.

/** Decompresses base64 text into bytes. */
export async function inflate(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Joins numbers whose bytes were stored plane by plane, lowest byte first. */
export function joinPlanes(bytes, size) {
  const count = bytes.length / size;
  const joined = new Uint8Array(bytes.length);
  for (let plane = 0; plane < size; plane++) {
    for (let i = 0; i < count; i++) joined[i * size + plane] = bytes[plane * count + i];
  }
  return joined.buffer;
}

// Packed arrays of the contract: base64 of gzip of an array's bytes.

export async function unpack(text: string): Promise<Uint8Array> {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Attention of four-bit levels, two in a byte, the first in the higher half: (level / 15)².
export function attentionOfLevels(packed: Uint8Array, count: number): Float32Array {
  const attention = new Float32Array(count);
  for (let place = 0; place < count; place++) {
    const level = place % 2 ? packed[place >> 1] & 15 : packed[place >> 1] >> 4;
    attention[place] = (level / 15) ** 2;
  }
  return attention;
}

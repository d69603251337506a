import { test } from 'vitest';
import { spawn, execFileSync } from 'node:child_process';
import { HttpVideoServer } from '/work/main/test/support/http-video-server.ts';
import { VideoFolder, testFfmpeg } from '/work/main/test/support/made-videos.ts';
import { RtspServer } from '/work/main/test/support/rtsp-server.ts';
test('x', async () => {
  const f = new VideoFolder();
  const v = await f.make('served.mp4', { frames: 100 }); const long = await f.make('long.mp4',{frames:1500});
  const http = new HttpVideoServer(v, v, f.path); await http.start(); await http.startPackager();
  const rtsp = await RtspServer.open(long);
  const run = (url: string, opts: string[]) => new Promise<string>((resolve) => {
    const t0 = performance.now();
    const c = spawn(testFfmpeg.path, ['-hide_banner','-nostdin','-loglevel','error',...opts,'-i',url,'-map','0:v:0','-vsync','passthrough','-vf','scale=160:96','-f','rawvideo','-pix_fmt','rgb24','pipe:1'],{stdio:['ignore','pipe','inherit']});
    let first = 0, bytes = 0;
    c.stdout.on('data', (d) => { bytes += d.length; if (!first) { first = performance.now()-t0; setTimeout(()=>{ const n = bytes/(160*96*3); c.kill('SIGKILL'); resolve(`first ${first.toFixed(0)} ms, ${n.toFixed(0)} frames in the 500 ms after`); }, 500);} });
  });
  const sets: Record<string,string[]> = {
 'an0.5+fps0': ['-analyzeduration','500000','-fpsprobesize','0'], 'an0.5+fps0+low': ['-analyzeduration','500000','-fpsprobesize','0','-flags','low_delay'], 'fps0+nobuf+low': ['-fpsprobesize','0','-fflags','nobuffer','-flags','low_delay'], 'fps0': ['-fpsprobesize','0'], 'fps0+low': ['-fpsprobesize','0','-flags','low_delay'],
};
  const rt = ['-rtsp_transport','tcp'];
  for (const [n,o] of Object.entries(sets)) {
    console.log(n, '| ts', n.startsWith('an')? await run(http.origin+'/live.ts', o):'', '| hls', await run(http.origin+'/live/live.m3u8', o), '| rtsp', await run(rtsp.url, [...rt,...o]),'| udp', await run(rtsp.url, ['-rtsp_transport','udp',...o]));
  }
  await http.close(); await rtsp.stop(); f.remove();
}, 170000);

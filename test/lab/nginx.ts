/** nginx as the lab's tests use it: files of one directory, without privileges of its own. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The command that serves `directory`/www at these addresses in the foreground; everything of it is in `directory`. Below /coded/ are the same, said to be gzip. */
export function nginxCommand(directory: string, listen: readonly string[]): readonly string[] {
  mkdirSync(join(directory, 'www'), { recursive: true });
  const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${directory}/t;`,
  );
  const file = join(directory, 'nginx.conf');
  writeFileSync(
    file,
    `daemon off; worker_processes 1; user root; pid ${directory}/nginx.pid; error_log ${directory}/nginx.err;
events { worker_connections 512; }
http { access_log off; large_client_header_buffers 4 256k; ${places.join(' ')} sendfile on;
  server { ${listen.map((address) => `listen ${address};`).join(' ')} root ${directory}/www;
    location /coded/ { alias ${directory}/www/; add_header Content-Encoding gzip; } } }
`,
  );
  return ['nginx', '-e', `${directory}/nginx.err`, '-c', file];
}

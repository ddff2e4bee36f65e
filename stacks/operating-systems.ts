/** Where each operating system's makers publish the ids of their images, and what Terraform has to know of it. */
import type { OperatingSystemName } from '../cloud-init/operating-systems';
import type { Architecture } from './catalogue';

export interface Image {
  /** Public SSM parameter with the id of the newest image. */
  readonly parameter: Readonly<Record<Architecture, string>>;
  /** Device name of the disk that the image boots from. */
  readonly rootDevice: string;
}

function debian(release: number): Image {
  const path = `/aws/service/debian/release/${release}/latest`;
  return { parameter: { x64: `${path}/amd64`, arm64: `${path}/arm64` }, rootDevice: '/dev/xvda' };
}

/** Canonical moved to gp3 with 24.04; the disk is gp3 in both, because the stack says so. */
function ubuntu(release: string, disk: 'ebs-gp2' | 'ebs-gp3'): Image {
  const path = `/aws/service/canonical/ubuntu/server/${release}/stable/current`;
  return {
    parameter: {
      x64: `${path}/amd64/hvm/${disk}/ami-id`,
      arm64: `${path}/arm64/hvm/${disk}/ami-id`,
    },
    rootDevice: '/dev/sda1',
  };
}

const AMAZON = '/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default';

export const IMAGES: Readonly<Record<OperatingSystemName, Image>> = {
  'debian-12': debian(12),
  'debian-13': debian(13),
  'ubuntu-22.04': ubuntu('22.04', 'ebs-gp2'),
  'ubuntu-24.04': ubuntu('24.04', 'ebs-gp3'),
  'amazon-linux-2023': {
    parameter: { x64: `${AMAZON}-x86_64`, arm64: `${AMAZON}-arm64` },
    rootDevice: '/dev/xvda',
  },
};

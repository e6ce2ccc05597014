// The hanging protocols of radnet-node, as OHIF's extension manager wants them.
import { liverProtocol } from './liver.js';

/**
 * Return the module of hanging protocols. Each is a generator: OHIF asks for it anew when it
 * matches a study, and it is made of the display sets that are there then.
 */
export function protocols(servicesManager) {
  const displaySets = () => servicesManager.services.displaySetService.getActiveDisplaySets();
  return [
    { name: '@radnet/liver', protocol: () => ({ protocol: liverProtocol(displaySets()) }) },
  ];
}

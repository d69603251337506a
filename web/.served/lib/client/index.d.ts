export * from '../../../../src/wire/client/index.ts';

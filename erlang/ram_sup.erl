%% The two processes of ram: the state machine of the member of this node, and the queues of
%% updates.
-module(ram_sup).
-behaviour(supervisor).

-export([start_link/1]).
-export([init/1]).

-spec start_link(ram_config:settings()) -> {ok, pid()} | {error, term()}.
start_link(Settings) ->
    case supervisor:start_link({local, ?MODULE}, ?MODULE, Settings) of
        {ok, Pid} -> {ok, Pid};
        {error, Reason} -> {error, Reason};
        ignore -> {error, ignored}
    end.

-spec init(ram_config:settings()) -> {ok, {supervisor:sup_flags(), [supervisor:child_spec()]}}.
init(Settings) ->
    Children = [#{id => ram_node,
                  start => {ram_member, start_link, [Settings]},
                  %% Stopping hands the lead over, waits for the disk, and frees the table.
                  shutdown => 60000},
                #{id => ram_update, start => {ram_update, start_link, []}}],
    {ok, {#{strategy => one_for_one, intensity => 3, period => 10}, Children}}.

%% The owner process of the member of this node: a worker that makes the library calls which block,
%% one after the other, and receives the messages of the library, which go to the process that
%% opened the member. ram_member starts it, gives it the calls, and acts on the results.
%%
%% A call that raises is a result. An event tells which member sent it: those that a member sent
%% before it ended are dropped, and the result of an open comes before the first event of what it
%% opened. The owner is linked to ram_member and dies with it; a member that nobody refers to any
%% more is stopped by the library.
-module(ram_owner).

-include_lib("kernel/include/logger.hrl").

-export([start_link/0, call/2, opened/1]).
-export_type([call/0, result/0]).

-type call() ::
        {read_folder, DataDir :: binary()}
      | {open, Settings :: map(), Cluster :: binary()}
      | {close | erase | set_aside | cancel_join, ram_nif:member()}
      | {erase_folder, DataDir :: binary(), Cluster :: binary()}
      | {recover, ram_nif:member(), Old :: binary(), New :: binary()}
      | {rename, ram_nif:member(), disk | memory, DataDir :: binary(), Settings :: map()}.
%% What the function of ram_nif returns; or that it did not.
-type result() :: {done, term()} | {crashed, binary()}
                | {event, ram_nif:member() | undefined, removed | {failed, binary()}}.

%% How deep the reason of a crash is told.
-define(DEPTH, 20).

%% @doc The results come to the calling process as `{ram_owner, Owner, result()}'.
-spec start_link() -> pid().
start_link() ->
    Starter = self(),
    spawn_link(fun() -> loop(Starter, undefined) end).

-spec call(pid(), call()) -> ok.
call(Owner, Call) ->
    Owner ! {call, Call},
    ok.

%% @doc The member that a call has opened.
-spec opened(result()) -> ram_nif:member() | undefined.
opened({done, {ok, Handle}}) when is_reference(Handle) -> Handle;
opened({done, {ok, Handle, _LastLogIndex}}) when is_reference(Handle) -> Handle;
opened(_Result) -> undefined.

%% `Opened' is the member that was opened last.
loop(Starter, Opened) ->
    receive
        {call, Call} ->
            Result = result(Call),
            Starter ! {?MODULE, self(), Result},
            case opened(Result) of
                undefined -> loop(Starter, Opened);
                Handle -> loop(Starter, Handle)
            end;
        {ram_member, Event} ->
            Starter ! {?MODULE, self(), {event, Opened, Event}},
            loop(Starter, Opened);
        {ram_log, Level, Text} ->
            ?LOG(Level, "ram: ~ts", [Text]),
            loop(Starter, Opened);
        _Unknown ->
            loop(Starter, Opened)
    end.

result(Call) ->
    try {done, do(Call)}
    catch
        Class:Reason ->
            Text = io_lib:format("the call ~ts crashed: ~ts ~0tP",
                                 [element(1, Call), Class, Reason, ?DEPTH]),
            {crashed, unicode:characters_to_binary(Text)}
    end.

do({read_folder, Dir}) -> ram_nif:folder_look(Dir);
do({open, Settings, Cluster}) -> ram_nif:member_start(Settings, Cluster);
do({close, Member}) -> ended(ram_nif:member_stop(Member));
do({erase, Member}) -> ended(ram_nif:member_erase(Member));
do({set_aside, Member}) -> ended(ram_nif:member_set_aside(Member));
do({cancel_join, Member}) -> ended(ram_nif:member_abandon(Member));
do({erase_folder, Dir, Cluster}) -> ram_nif:folder_erase(Dir, Cluster);
do({recover, Member, Old, New}) ->
    case ram_nif:member_recover(Member, Old, New) of
        {error, other_cluster} = Unchanged -> Unchanged;
        Result -> ended(Result)
    end;
do({rename, Member, Storage, Dir, #{data_dir := NewDir} = Settings}) ->
    case ram_distribution:move_folder(Storage, Dir, NewDir) of
        ok ->
            Result = ram_nif:member_rename(Member, Settings, rand:bytes(16)),
            renamed(Result, Storage, Dir, NewDir);
        {error, Why} -> {error, {not_moved, Why}}
    end.

%% The folder has the name of the node by default, and goes along.
renamed({error, joined} = Unchanged, Storage, Dir, NewDir) ->
    _ = ram_distribution:move_folder(Storage, NewDir, Dir),
    Unchanged;
renamed(Result, _Storage, _Dir, _NewDir) ->
    ended(Result).

ended(Result) ->
    receive {ram_member, _} -> ended(Result)
    after 0 -> Result
    end.
